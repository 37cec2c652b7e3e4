"""The source's counts by key ranges, taken in the snapshot of a read, and the source in a later snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.ledger.rejected_rows import is_key
from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.comparison.sweep import FirstLevel
from pgsnow.model.errors import PgsnowError, SourceUnavailable
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.copy_connections import CopyConnection
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.strategy import mode_of
from pgsnow.postgres.incremental.window import EPOCH, HALF
from pgsnow.postgres.read.reader import Reader, SnapshotReader
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide
from pgsnow.sync.pipeline.row_keys import Items, Key, items_of, target_values
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.load_schedule import may_be_much

LOSSLESS = frozenset({ReadMode.WATERMARK, ReadMode.XMIN})
"""Ways to read after which the target has every row of the read's snapshot."""
MOST_REJECTED = 2_000
"""Rejected rows that a sweep looks at one by one."""
AT_ONCE = 200
"""Keys in one statement."""


def count_at_end(run: RunContext, reader: Reader, *, stages: bool = False) -> None:
    """Let the reader count the source's keys in its own snapshot, after its last row. An error of that is raised by the
    sweep, so that the rows are loaded first. stages: rows that are read now are only staged: nothing is counted if
    there are any, unless so many wait with them that all are loaded at once."""
    run.counted.clear()
    if not isinstance(reader, SnapshotReader) or not is_comparable(run.plan) or not is_lossless(run):
        return

    def count(snap: Snapshot) -> None:
        is_exact = run.table.created and run.backfill is None  # the target has this read's rows alone
        rows = run.recorder.rows_read
        if is_exact or (stages and rows and not may_be_much(run.plan.config, run.claim.staged, rows)):
            return
        began = time.monotonic()
        try:
            run.counted.append(first_level(run, snap))
        except PgsnowError as error:
            run.counted.append(error)
        run.recorder.sweep_seconds += time.monotonic() - began

    reader.at_end = count


def is_lossless(run: RunContext) -> bool:
    """True if the target has every row of a read's snapshot once that read is loaded, so that equal counts mean equal
    keys."""
    return mode_of(run.plan, run.checkpoint) in LOSSLESS


def is_comparable(plan: TablePlan) -> bool:
    """True if both sides have the same keys: the transform drops no row, and changes no value of a key."""
    transform = plan.config.transform
    if transform is None:
        return True
    changed = {*transform.sensitive, *transform.cast}
    return transform.function is None and changed.isdisjoint(plan.pk)


def first_level(run: RunContext, snap: Snapshot) -> FirstLevel:
    """The source's rows by ranges, in this snapshot, without rejected ones."""
    without = rejected_keys(run)
    if len(without) > MOST_REJECTED:
        return FirstLevel((), (), tuple(without))
    estimate = max(run.table.rows or 0, run.claim.target.rows or 0, run.plan.source.estimated_rows)
    side = SourceSide(snap, run.plan, conditions=leave_out(run.plan, without))
    ranges = first_ranges(side, run.plan, estimate)
    return FirstLevel(tuple(ranges), tuple(side.digests(ranges)), tuple(without), snap.lsn)


def rejected_keys(run: RunContext) -> list[Key]:
    """Keys of rows that were rejected: by earlier runs and still open, or dismissed, or by this run. The target may
    lack their rows, or have older versions of them."""
    found: dict[Items, Key] = {items_of(key): key for key in run.rejected.open_keys}
    dismissed = run.ledger.rejected_rows.listed(
        table=run.claim.table, state="dismissed", limit=MOST_REJECTED + 1
    )
    for row in dismissed:
        if is_key(row.key):
            found.setdefault(items_of(row.key), row.key)
    for items in run.rejected.rejected_keys:
        found.setdefault(items, dict(items))
    return [key for key in found.values() if key.keys() == set(run.plan.pk)]


def held_values(plan: TablePlan, keys: Sequence[Mapping[str, str | None]]) -> list[tuple[Any, ...]]:
    """The values of these keys in the target, without those that it cannot hold."""
    values = (target_values(key, plan.key) for key in keys)
    return [value for value in values if value is not None]


def leave_out(plan: TablePlan, keys: Sequence[Mapping[str, str | None]]) -> list[Composable]:
    """A condition: the row has none of these keys."""
    if not keys:
        return []
    values = [key.get(plan.pk[0]) for key in keys]
    if len(plan.pk) == 1 and all(value is not None and "\\" not in value for value in values):
        listed = SQL(", ").join(map(Literal, values))  # a list is hashed
        return [SQL("{} not in ({})").format(Identifier(plan.pk[0]), listed)]
    return [SQL("({}) is not true").format(SQL(" or ").join(sql.by_key(plan, key) for key in keys))]


def still_there(
    snap: Snapshot,
    plan: TablePlan,
    keys: Sequence[Mapping[str, str | None]],
    *,
    older_than: int | None = None,
) -> set[int]:
    """Indexes of those keys of which the source has a row that `where` admits. older_than: a row that was written by a
    transaction below this one."""
    found: set[int] = set()
    age = None if older_than is None else _is_older(older_than)
    for start in range(0, len(keys), AT_ONCE):
        parts = [
            SQL("select {} where exists (select from {} where {})").format(
                Literal(start + at),
                sql.table(plan),
                sql.both([sql.by_key(plan, key), sql.where_given(plan), age]),
            )
            for at, key in enumerate(keys[start : start + AT_ONCE])
        ]
        found |= {int(str(number)) for (number,) in snap.fetch(SQL(" union all ").join(parts))}
    return found


def _is_older(xid: int) -> Composable:
    """A condition: a transaction below `xid` wrote the row, so every snapshot with this lower end shows it. Xids are
    compared over half of their 32 bits; a row that is older than that counts as newer."""
    return SQL("mod(xmin::text::bigint - {} + {}, {}) >= {}").format(
        Literal(xid % EPOCH), Literal(EPOCH), Literal(EPOCH), Literal(HALF)
    )


@contextmanager
def later_snapshot(run: RunContext, read_until: int | None = None) -> Iterator[Snapshot]:
    """A snapshot of the source that is later than every read that the target contains. read_until: Snapshot.lsn of the
    newest read; None: it is not known, so that of the last run counts.

    A conninfo may name several servers. Raises SourceUnavailable if one answers that lags behind the one that was read:
    it may lack rows that the target has. Also raises what `open_snapshot` raises."""
    read_until = last_read(run) if read_until is None else read_until
    with run.source.copy_connection() as connection:
        if read_until is not None and log_end(connection, run.claim.table) < read_until:
            raise SourceUnavailable(
                f"{run.claim.table}: deleted rows were not searched for, because another server answered than the one"
                " that was read, and it lags behind",
                advice="Let the connection string name one server, so that a tick reads one state of the source.",
            )
        with open_snapshot(connection, run.plan) as snap:
            yield snap


def last_read(run: RunContext) -> int | None:
    """Where the log ended when the last run read. None: not known, or not the history of this source any more."""
    known = run.claim.checkpoint
    if known is None or known.position is None or run.recorder.full_read is not None:
        return None
    return known.position.lsn


def log_end(connection: CopyConnection, table: str) -> int:
    """The end of the log of the server that answers; a later snapshot shows every commit before it. 0: not known."""
    with translating(table):
        ((end,),) = connection.rows(f"select {sql.text_of(sql.LSN)}")
    return int(end or 0)
