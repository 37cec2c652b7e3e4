"""Creates and drops replication slots."""

from __future__ import annotations

from typing import Any

import psycopg

from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.errors import translating


def create_slot(conn: psycopg.Connection[Any], slot: str) -> int:
    """Create a slot for pgoutput; returns its first position: it has every transaction that commits after the call.
    Raises SourceUnavailable, SourceAccessDenied, SourceQueryFailed."""
    failover = ", false, false, true" if conn.info.server_version >= 170_000 else ""
    with translating(f"replication slot {slot}"):
        row = conn.execute(
            f"select lsn::text from pg_create_logical_replication_slot(%s, 'pgoutput'{failover})",  # noqa: S608
            [slot],
        ).fetchone()
    assert row is not None
    return parse_lsn(row[0])


def drop_slot(conn: psycopg.Connection[Any], slot: str) -> None:
    """Drop the slot, if there is one. Raises SourceUnavailable, also if a session uses it, SourceAccessDenied."""
    with translating(f"replication slot {slot}"):
        conn.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s",
            [slot],
        )
