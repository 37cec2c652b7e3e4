"""Connection settings from the environment: Postgres, Snowflake, S3, the broker."""

from pgsnow.model.settings.settings import PostgresSettings, S3Settings, Settings, SnowflakeSettings

__all__ = ["PostgresSettings", "S3Settings", "Settings", "SnowflakeSettings"]
