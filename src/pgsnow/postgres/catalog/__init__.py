"""Queries of the system catalogs: tables, columns, keys, privileges, triggers."""
