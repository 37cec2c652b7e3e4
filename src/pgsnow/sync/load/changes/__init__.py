"""Loads of changes that were read from the log: rows, deletes, columns that did not change, truncated tables."""
