"""Rows that are on their way: changed in the source after the last read, so that the target cannot have them yet."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Composable

from pgsnow.ledger.claim import Claim
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.key_range import DifferenceKind
from pgsnow.operations.verify.canonical import from_snowflake
from pgsnow.operations.verify.open_table import OpenTable, Row
from pgsnow.operations.verify.streamed import plain_form
from pgsnow.postgres import sql
from pgsnow.postgres.catalog.describe import catalog_marks
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.content_hash import content_hash
from pgsnow.postgres.incremental.strategy import choose_strategy
from pgsnow.postgres.read.reader import open_reader
from pgsnow.sync.table.inspect import look_for_sweep

if TYPE_CHECKING:
    import pyarrow as pa

_XMAX = SQL("txid_snapshot_xmax(txid_current_snapshot())")
_WITHOUT_XMIN = frozenset({"v", "m", "f"})
DELETED = frozenset(
    {
        "rows were deleted in the source",
        "the table was truncated or rewritten",
        "a partition or child table is gone",
    }
)
"""Reasons of a DueSweep that say that rows have left the source."""
MOST_KEYS = 500_000
"""Keys of unread rows that are held in memory; further ones count as differences."""


def unread_rows(table: OpenTable) -> Composable | None:
    """A condition on the source's table: the next run reads the row because it changed after the last read. None if
    that cannot be told: nothing was read yet, everything is read again, or rows do not show when they were written."""
    plan, checkpoint = table.plan, table.known.checkpoint
    if checkpoint is None or plan.source.relkind in _WITHOUT_XMIN:
        return None
    with translating(str(plan.source.name)):
        strategy = choose_strategy(
            lambda query: table.conn.execute(sql.text_of(query).encode()).fetchall(),
            plan,
            checkpoint,
            table.horizon,
        )
    window = strategy.window
    if strategy.full_read is not None or window is None or not (plan.has_xmin or window.bound):
        return None
    return window.condition(_XMAX)


@dataclass
class InFlight:
    """Tells differences that the next run removes from those that stay. deletes: so are rows of the target alone, if
    the source's counters show that rows were deleted there."""

    table: OpenTable
    deletes: bool = False

    def covers(self, kinds: Collection[DifferenceKind], *, is_unread: bool) -> bool:
        """True if all that differs in a key's rows comes from a change after the last read. A row beyond the first of
        its key does not."""
        if not kinds or DifferenceKind.DUPLICATE in kinds:
            return False
        pending = set(kinds) == {DifferenceKind.GHOST} and self.deletes and self.deletes_pending
        return is_unread or pending or self.replaced_soon

    @cached_property
    def deletes_pending(self) -> bool:
        """Rows were deleted in the source after the last complete search for such rows; the next one, which is due,
        removes them from the target."""
        plan, known = self.table.plan, self.table.known
        mark = catalog_marks(self.table.conn, [plan.source.name]).get(plan.source.name)
        claim = Claim(
            plan.config.name, "", "", 0, known.checkpoint,
            sweep=known.sweep, created_target=known.created_target, granted_at=time.time(),
        )  # fmt: skip
        _, _, sweep = look_for_sweep(claim, plan, mark, self.table.horizon)
        return sweep is not None and sweep.why in DELETED

    @cached_property
    def replaced_soon(self) -> bool:
        """With mode full: the content has changed after the last read, so the next run replaces the target's."""
        checkpoint, plan = self.table.known.checkpoint, self.table.plan
        if plan.config.mode is not TableMode.FULL or checkpoint is None or checkpoint.content_hash is None:
            return False
        with translating(str(plan.source.name)):
            row = self.table.conn.execute(SQL("select {}").format(content_hash(plan))).fetchone()
        return row is not None and row[0] != checkpoint.content_hash

    @cached_property
    def keys(self) -> frozenset[Row]:
        """The keys, as loaded, of the rows that the next run would read, in a table that is compared as streams. They
        are read and transformed as in a run."""
        table = self.table
        if unread_rows(table) is None:
            return frozenset()
        with open_reader(table.source, table.plan, table.known.checkpoint, table.horizon) as reading:
            if reading.full_read is not None:
                return frozenset()
            found = (key for page in reading.pages() for key in self._keys_of(page.rows))
            return frozenset(islice(found, MOST_KEYS))

    def _keys_of(self, rows: pa.RecordBatch) -> list[Row]:
        prepared, plan = self.table.prepared, self.table.plan
        loaded = prepared.transform.apply(rows).rows
        key = plan.key or plan.output
        columns = [loaded.column(plan.output.index(f)).to_pylist() for f in key]
        return [
            plain_form(tuple(from_snowflake(f, v) for f, v in zip(key, values, strict=True)))
            for values in zip(*columns, strict=True)
        ]
