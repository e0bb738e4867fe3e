"""The simulated marketplace: a world whose users answer slates, and the log of a logging policy run against it."""
