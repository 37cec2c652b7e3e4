"""PGSNOW_TICKS: a row for each tick whose tables change together, written in the transaction that changes them. Pure.

Sources: Snowflake docs, "CREATE TABLE", "INSERT", "Transactions".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgsnow.model.log.consistent_tick import TICKS_TABLE, ConsistentTick
from pgsnow.model.log.lsn import format_lsn
from pgsnow.snowflake.names import qualified, text
from pgsnow.snowflake.sql.statements import NOW, WHOLE


def create_ticks(row: ConsistentTick) -> str:
    """COMMITTED_AT is Snowflake's clock in the transaction. LEFT_OUT: name of a table → why it does not have the
    state of the others."""
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(row.place.sibling(TICKS_TABLE))} (TICK VARCHAR NOT NULL, LSN VARCHAR,"
        f" LSN_BYTES {WHOLE}, SOURCE_TIME TIMESTAMP_TZ, COMMITTED_AT TIMESTAMP_TZ NOT NULL,"
        " CONSISTENT BOOLEAN NOT NULL, TABLES VARIANT, LEFT_OUT VARIANT)"
    )


def write_tick(row: ConsistentTick, tables: Sequence[str]) -> str:
    """Write the row, once. tables: those that have the state of the tick."""
    lsn = "NULL" if row.lsn is None else text(format_lsn(row.lsn))
    position = "NULL" if row.lsn is None else str(row.lsn)
    at = "NULL" if row.source_time is None else text(row.source_time.isoformat())
    ticks = qualified(row.place.sibling(TICKS_TABLE))
    values = (
        f"{text(row.tick)}, {lsn}, {position}, {at}::TIMESTAMP_TZ, {NOW}, {'TRUE' if row.together else 'FALSE'},"
        f" PARSE_JSON({text(json.dumps(list(tables)))}), PARSE_JSON({text(json.dumps(dict(row.left_out)))})"
    )
    return f"INSERT INTO {ticks} SELECT {values} WHERE NOT EXISTS ({_known(row)})"


def count_tick(row: ConsistentTick) -> str:
    """1 if the tick's transaction is committed."""
    return f"SELECT COUNT(*) FROM ({_known(row)})"  # noqa: S608


def _known(row: ConsistentTick) -> str:
    return f"SELECT 1 FROM {qualified(row.place.sibling(TICKS_TABLE))} WHERE TICK = {text(row.tick)}"  # noqa: S608
