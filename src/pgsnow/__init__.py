"""pgsnow keeps Snowflake tables equal to Postgres tables."""

__version__ = "0.1.0"
