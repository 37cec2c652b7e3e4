"""The audit of the log: rows of the table show which transactions wrote them, and the log must have their keys.

Two reads of the log are needed. After the first one, `first_later_xid` is noted: a transaction with that id or a higher
one has committed behind the end of that read. At the second read, every row that such a transaction has written, and
that was visible before the end of that read was noted, must have been shown by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.log.lsn import format_lsn
from pgsnow.model.log.relation import LogRelation
from pgsnow.model.table import SourceName
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.streaming import LogPoint
from pgsnow.postgres.replication.reading import LogReading
from pgsnow.postgres.replication.values.tuples import raw_changes

SAMPLE_ROWS = 1000
LONGEST_SECONDS = 5.0
"""Time limit of the query, which scans the table: a table for which it does not suffice is not audited."""
_EPOCH = 1 << 32
FULL = "f"


def audit(
    conn: psycopg.Connection[Any],
    figures: Mapping[str, Any],
    due: Mapping[str, tuple[SourceName, int]],
    reading: LogReading,
    point: LogPoint,
    now: float,
) -> tuple[dict[str, object], dict[str, str]]:
    """One of the two steps: figures for the ledger, and by `schema.table` what the log lacks.

    figures: of the slot, as the read before this one has stored them. due: by name, each table and its oid. now:
    seconds since 1970. Raises SourceUnavailable.
    """
    since = figures.get("audit_since")
    if not isinstance(since, int):
        return {"audit_since": first_later_xid(conn)}, {}
    found = {}
    for source, oid in due.values():
        lacking = lacking_in_log(conn, source, oid, reading, point, since)
        if lacking is not None:
            found[str(source)] = lacking
    audits = {**(figures.get("audits") or {}), **dict.fromkeys(due, now)}
    return {"audit_since": None, "audits": audits}, found


def first_later_xid(conn: psycopg.Connection[Any]) -> int:
    """The lowest xid (64 bits) that was not given out yet. Raises SourceUnavailable."""
    with translating("the source's log"):
        row = conn.execute("select txid_snapshot_xmax(txid_current_snapshot())").fetchone()
    assert row is not None
    return int(row[0])


def lacking_in_log(
    conn: psycopg.Connection[Any],
    source: SourceName,
    oid: int,
    reading: LogReading,
    point: LogPoint,
    since: int,
) -> str | None:
    """A sentence about a row that the log lacks, with both positions; None: a sample of the rows shows none.

    since: of `first_later_xid`, after the read before this one. point: of this read. Raises SourceUnavailable.
    """
    if not reading.complete or since >= point.x or since // _EPOCH != (point.x - 1) // _EPOCH:
        return None
    relations = reading.relations(oid)
    names = _key(relations[-1]) if relations else ()
    if relations and (not names or any(_key(relation) != names for relation in relations)):
        return None  # the whole row is the key, or it was another one before
    rows = _sample(conn, source, names, since, point.x)
    shown = _keys(reading, oid, names) if rows else set()
    for *key, xid in rows:
        if tuple(key) not in shown:
            row = f"the row with {', '.join(names)} = {', '.join(key)}" if names else "a row"
            return (
                f"the audit found {row}, which transaction {xid} wrote, and which the log does not have, although it"
                f" was read to {format_lsn(reading.end)}"
            )
    return None


def _key(relation: LogRelation) -> tuple[str, ...]:
    if relation.identity == FULL:
        return ()
    return tuple(column.name for column in relation.columns if column.key)


def _sample(
    conn: psycopg.Connection[Any], source: SourceName, names: tuple[str, ...], since: int, before: int
) -> list[tuple[str, ...]]:
    """Keys as the log writes them, and the xid, of rows that these transactions have written; [] if that takes long."""
    values: list[Composable] = [SQL("format('%s', {})").format(Identifier(name)) for name in names]
    query = SQL(
        "select {} from {} where xmin::text::bigint >= {} and xmin::text::bigint < {} limit {}"
    ).format(
        SQL(", ").join([*values, SQL("xmin::text")]),
        Identifier(source.schema, source.table),
        Literal(since % _EPOCH),
        Literal((before - 1) % _EPOCH + 1),
        Literal(SAMPLE_ROWS),
    )
    limit = SQL("set local statement_timeout = {}").format(Literal(round(LONGEST_SECONDS * 1000)))
    with translating(str(source)):
        try:
            with conn.transaction():
                conn.execute(limit)
                return conn.execute(query).fetchall()
        except (psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege):
            return []


def _keys(reading: LogReading, oid: int, names: tuple[str, ...]) -> set[tuple[str | None, ...]]:
    """The keys of all rows that were inserted or updated."""
    found: set[tuple[str | None, ...]] = set()
    for block in reading.blocks(oid):
        changes = raw_changes(block, set(names))
        columns = [changes.columns[name].texts for name in names]
        for at in changes.new[changes.new >= 0].tolist():
            found.add(tuple(_text(column[at].as_py()) for column in columns))
    return found


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
