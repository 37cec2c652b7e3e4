"""Two snapshots of the source around a tick, and what the target must hold after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.stress.delete_tables import KINDS, Kind

Key = tuple[str, ...]
Rows = Mapping[str, Mapping[Key, int]]
"""Table → key → value."""
ABSENT = """
select distinct t, key from (
    select distinct on (xid, t, key) t, key, alive from life
    where xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
      and not pg_visible_in_snapshot(xid, %(before)s::pg_snapshot)
    order by xid, t, key, seq desc
) ended where not alive
"""
"""Keys that were left absent by a transaction which this snapshot sees and the one before does not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows of one snapshot of the source."""

    snapshot: str
    rows: Rows


def look(conn: psycopg.Connection[Any]) -> Seen:
    """The source's rows now."""
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        return _seen(conn)


def look_again(conn: psycopg.Connection[Any], before: Seen) -> dict[str, set[Key]]:
    """Keys of each table that were there before, are there now, and were there in every snapshot in between."""
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        now = _seen(conn)
        absent = {(t, tuple(key)) for t, key in conn.execute(ABSENT, {"before": before.snapshot})}
    return {
        table: {key for key in before.rows[table].keys() & rows.keys() if (table, key) not in absent}
        for table, rows in now.rows.items()
    }


def _seen(conn: psycopg.Connection[Any]) -> Seen:
    (snapshot,) = conn.execute("select pg_current_snapshot()::text").fetchall()[0]
    return Seen(snapshot, {kind.name: _rows(conn, kind) for kind in KINDS})


def _rows(conn: psycopg.Connection[Any], kind: Kind) -> dict[Key, int]:
    columns = ", ".join(f"{name}::text" for name in kind.key)
    return {row[:-1]: row[-1] for row in conn.execute(f"select {columns}, v from {kind.name}".encode())}


@dataclass(slots=True)
class Findings:
    """What was looked at, and what was wrong."""

    checked: int = 0
    """Keys that had to be in the target after a tick."""
    lost: int = 0
    """Those that were not there."""
    removed: int = 0
    """Keys that were removed from the target."""
    removed_alive: int = 0
    """Those whose row was in the source in every snapshot since the tick began."""
    examples: list[str] = field(default_factory=list)

    def after_tick(self, lasting: Mapping[str, Collection[Key]], target: Rows) -> None:
        """Check that tables hold what was in the source in every snapshot since the tick began."""
        for table, keys in lasting.items():
            lost = [key for key in keys if key not in target[table]]
            self.checked += len(keys)
            self.lost += len(lost)
            self.examples += [f"{table} {key} is not in the target after a tick" for key in lost[:3]]

    def after_removals(
        self, lasting: Mapping[str, Collection[Key]], removed: Iterable[tuple[str, Key]]
    ) -> None:
        """Check the keys that a tick has removed from the target."""
        gone = list(removed)
        alive = [(table, key) for table, key in gone if key in lasting[table]]
        self.removed += len(gone)
        self.removed_alive += len(alive)
        self.examples += [f"{table} {key} was removed, and is in the source" for table, key in alive[:3]]
