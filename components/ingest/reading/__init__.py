"""Reads the values of a column: SQL by Arrow type, encodings that are removed, values that are refused or missing."""
