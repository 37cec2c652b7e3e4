"""Connections as values: Postgres, Snowflake, S3, and where each setting comes from."""
