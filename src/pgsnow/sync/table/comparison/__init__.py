"""Continuous comparison of a table with its target, and repair of rows that differ."""
