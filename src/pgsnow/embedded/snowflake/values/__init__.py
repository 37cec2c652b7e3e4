"""Repairs of values: binds, timestamps, and columns as wide as those of Snowflake."""
