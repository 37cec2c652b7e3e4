"""Connections as values: Postgres, Snowflake, S3, and where each setting comes from."""

from pgsnow.model.settings.settings import PostgresSettings, S3Settings, Settings, SnowflakeSettings

__all__ = ["PostgresSettings", "S3Settings", "Settings", "SnowflakeSettings"]
