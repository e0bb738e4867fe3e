"""The state of users and items as of past times: Feast's join over snapshots, and histories from the events."""
