"""Finds the files of a table in a dataset directory, and refuses entries whose rows would be lost."""
