"""The target table: its columns, limits, and the DDL that creates and alters it."""
