"""Postgres types as Arrow and Snowflake types: what is exact, and what happens to values that do not fit."""
