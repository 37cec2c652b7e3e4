"""Transforms of rows between Postgres and Snowflake: declared in YAML, or a Python function."""

from pgsnow.sync.transform.function import batch_function

__all__ = ["batch_function"]
