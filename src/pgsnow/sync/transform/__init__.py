"""Rows changed between Postgres and Snowflake, by YAML or by a function of the user's."""

from pgsnow.sync.transform.function import batch_function

__all__ = ["batch_function"]
