"""The simulated marketplace: a world that answers slates, and the log of one policy run against it."""
