"""Statements for Snowflake, as text."""
