"""An oracle for tests: compares a Postgres table with its Snowflake target without any code of pgsnow."""

from tests.oracle import compare, postgres, snowflake

__all__ = ["compare", "postgres", "snowflake"]
