"""The heartbeat table of a target schema: up to when each of its tables is equal to its source.

https://docs.snowflake.com/en/sql-reference/sql/merge
"""

from __future__ import annotations

from collections.abc import Mapping

from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import qualified, text

HEARTBEAT_TABLE = "_PGSNOW_HEARTBEAT"


def create_heartbeat(table: TargetName) -> str:
    """TARGET_TABLE is the name of a table in the same schema. Every change that was committed in Postgres before
    FRESH_AT is in it."""
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(table)}"
        " (TARGET_TABLE VARCHAR NOT NULL, FRESH_AT TIMESTAMP_TZ NOT NULL, PRIMARY KEY (TARGET_TABLE))"
    )


def write_heartbeat(table: TargetName, fresh: Mapping[str, str]) -> str:
    """fresh: FRESH_AT by TARGET_TABLE. A time that is later already stays."""
    rows = " UNION ALL ".join(
        f"SELECT {text(name)} AS TARGET_TABLE, {text(at)}::TIMESTAMP_TZ AS FRESH_AT"
        for name, at in fresh.items()
    )
    return (
        f"MERGE INTO {qualified(table)} t USING ({rows}) s ON t.TARGET_TABLE = s.TARGET_TABLE"  # noqa: S608
        " WHEN MATCHED AND t.FRESH_AT < s.FRESH_AT THEN UPDATE SET FRESH_AT = s.FRESH_AT"
        " WHEN NOT MATCHED THEN INSERT (TARGET_TABLE, FRESH_AT) VALUES (s.TARGET_TABLE, s.FRESH_AT)"
    )


def read_heartbeat(target: TargetName) -> str:
    """Up to when this target is equal to its source."""
    heartbeat = qualified(target.sibling(HEARTBEAT_TABLE))
    return f"SELECT MAX(FRESH_AT) FROM {heartbeat} WHERE TARGET_TABLE = {text(target.table)}"  # noqa: S608
