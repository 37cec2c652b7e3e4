"""Loader that puts a whole content in place in memory, and what it shares with a shadow table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.metadata_columns import (
    DELETED_AT_COLUMN,
    FENCE_COLUMN,
    HASH_COLUMN,
    OCCURRENCE_COLUMN,
    ORDER_COLUMN,
)
from pgsnow.model.sentences import counted
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.sql.soft_deletes import Gone
from pgsnow.sync.load.loader import Complete, Staged
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.testing.memory_target import MemoryTarget
from pgsnow.testing.warehouse import MemoryTable, Row, last_of_each


@dataclass(slots=True)
class MemoryContentLoader:
    """Stages all rows, then puts them in place of the target's content, or adds those that it does not have."""

    target: MemoryTarget
    appends: bool
    relaxed: bool
    other_keys: bool = False
    _rows: int = 0

    @property
    def batch(self) -> str:
        """The batch whose staging table holds all rows."""
        return batch_name(self.target.plan, self.target.claimed.claim.fence, 0)

    def load(self, batch: LoadBatch) -> Staged:
        target = self.target
        target.batches.cleanup(but=(self.batch, batch.batch))
        target.batches.begin(batch.batch)
        target.retried(lambda: self._stage(batch))
        self._rows += batch.rows
        target.recorder.loaded(batch, target.result())
        return Staged()

    def finish(self) -> Complete:
        target = self.target
        if self.appends and self._rows == 0:
            target.make_fit()
            return Complete(replaced=True)
        target.batches.begin(self.batch)
        if not self.appends:
            target.make_fit(relaxed=self.relaxed, inspect=True)
        result = target.retried(self._append if self.appends else self._replace)
        if not self.appends and not target.claimed.created:
            target.claimed.check_fence(target.warehouse.table(target.plan.target).newest_fence)
        target.recorder.applied(result)
        target.claimed.rows = len(target.warehouse.table(target.plan.target).rows)
        return Complete(replaced=True)

    def _stage(self, batch: LoadBatch) -> None:
        target, into = self.target, staging_table(self.target.plan.target, self.batch)
        if batch.batch == self.batch:
            target.warehouse.staging[str(into)] = MemoryTable({})
        target.warehouse.table(into).delete(lambda row: row[ORDER_COLUMN] >= batch.first_row)
        target.fill(batch, into)

    def _replace(self) -> LoadResult:
        target, staged = self.target, self._staged()
        with target.step("replace", self.batch):
            replaced = replace_content(target, staged, other_keys=self.other_keys)
        announce_replaced(target, replaced)
        return target.result(replaced)

    def _append(self) -> LoadResult:
        target, staged = self.target, self._staged()
        with target.step("append", self.batch):
            added = target.warehouse.table(target.plan.target).append(staged)
        target.recorder.tell("merged")
        return target.result(added)

    def _staged(self) -> list[Row]:
        """One row per key, or all rows, numbered among those that are alike."""
        target, plan = self.target, self.target.plan
        found = target.warehouse.staging.get(str(staging_table(plan.target, self.batch)), MemoryTable({}))
        names, fence = [f.target for f in plan.output], target.claimed.claim.fence
        alike: Counter[str] = Counter()
        rows = []
        for row in last_of_each(found.rows, [f.target for f in plan.target_key]):
            written = target.written(row, names, fence)
            if plan.config.mode is TableMode.APPEND:
                alike[row[HASH_COLUMN]] += 1
                written |= {HASH_COLUMN: row[HASH_COLUMN], OCCURRENCE_COLUMN: alike[row[HASH_COLUMN]]}
            rows.append(written)
        return rows


def replace_content(target: MemoryTarget, rows: list[Row], *, other_keys: bool) -> int:
    """Let the target hold these rows and no others, except for rows that are marked as deleted, unless a later run has
    written to it; how many it holds."""
    table, fence = target.warehouse.table(target.plan.target), target.claimed.claim.fence
    if not any((row[FENCE_COLUMN] or 0) > fence for row in table.rows):
        kept = _carried_over(target, table.rows, rows, fence, target.gone(other_keys=other_keys))
        table.rows = []
        table.insert([*rows, *kept])
    return len(table.rows)


def _carried_over(
    target: MemoryTarget, before: list[Row], rows: list[Row], fence: int, gone: Gone
) -> list[Row]:
    """See pgsnow.snowflake.sql.soft_deletes.carried_over."""
    if gone is Gone.DELETED:
        return []
    key = [field.target for field in target.plan.target_key]
    found = {tuple(row[name] for name in key) for row in rows}
    kept = [row for row in before if tuple(row[name] for name in key) not in found]
    if gone is Gone.KEPT:
        return [row for row in kept if row[DELETED_AT_COLUMN] is not None]
    newest = {
        tuple(row[name] for name in key): row for row in sorted(kept, key=lambda row: row[FENCE_COLUMN] or 0)
    }
    return [row | (target.mark(fence) if row[DELETED_AT_COLUMN] is None else {}) for row in newest.values()]


def announce_replaced(target: MemoryTarget, rows: int) -> None:
    """Report that the target's content was replaced."""
    target.recorder.tell("replaced")
    target.recorder.replaced = True
    target.recorder.events.append(f"replaced the content of {target.plan.target}: {counted(rows, 'row')}")
