"""Repairs of SQL statements, and of the transactions that they run in."""
