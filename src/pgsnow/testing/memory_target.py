"""One run's target table in memory: created if it is missing, altered to fit the source, remembered in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow.parquet as pq

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.metadata_columns import FENCE_COLUMN, RUN_ID_COLUMN, SYNCED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.duplicates import identity_of, removed
from pgsnow.snowflake.load.merge import choose_method
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.schema.evolve import Evolution, evolution
from pgsnow.snowflake.schema.target_table import Shape, TargetColumn
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.open_batches import OpenBatch, OpenBatches
from pgsnow.sync.load.session import with_retries
from pgsnow.sync.load.target import TargetGone
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.testing.warehouse import Call, MemoryTable, MemoryWarehouse, Row

T = TypeVar("T")


@dataclass(slots=True)
class MemoryTarget:
    """The target of one run, and the steps that its loaders share. columns: name → type, as far as they are known."""

    warehouse: MemoryWarehouse
    plan: TablePlan
    claimed: ClaimedTable
    recorder: Recorder
    stop: threading.Event
    connected: bool = False
    columns: dict[str, str] | None = None
    looked: bool = False
    batches: OpenBatches = field(init=False)

    def __post_init__(self) -> None:
        known = self.claimed.claim.target_columns
        self.columns = None if known is None else dict(known)
        self.batches = OpenBatches(
            self.claimed,
            self.recorder,
            lambda batches: self.retried(lambda: self._remove(batches)),
            self._remove,
        )

    @property
    def shape(self) -> Shape:
        return Shape.of(self.plan)

    @property
    def is_fit(self) -> bool:
        """True if it is known whose it is, and its columns are known and take the rows of the plan."""
        return self.looked and self.columns is not None and self.shape.suffices(self.columns)

    @contextmanager
    def step(self, point: str, batch: str = "") -> Iterator[None]:
        """One step of this run; the first one connects."""
        if not self.connected:
            self.connected = True
            self.warehouse.connections += 1
        with self.warehouse.step(Call(self.recorder.table, point, batch)):
            yield

    def retried(self, action: Callable[[], T]) -> T:
        """The action's result; transient errors are retried, as in a session of Snowflake's."""
        return with_retries(action, self.stop)

    def make_fit(self, *, relaxed: bool = False, inspect: bool = False) -> bool:
        """See pgsnow.sync.load.target.Target.make_fit."""
        if inspect:
            self.columns = None
        return False if self.is_fit and not relaxed else self.retried(lambda: self._fit(relaxed=relaxed))

    def see_owner(self, table: MemoryTable) -> None:
        """See pgsnow.sync.load.target.Target."""
        settled = self.claimed.owner_of(str(self.plan.target), table.comment)
        if settled is not None:
            table.comment = settled.comment
            self.recorder.events.extend([settled.event] if settled.event else [])
            self.claimed.remember_mark(settled.mark)

    def read_all(self) -> None:
        """See pgsnow.sync.load.target.Target.read_all."""
        if self.claimed.claim.chunk is None:
            self.claimed.forget()
            return
        self.columns = None
        self.claimed.remember_target(None)
        self.claimed.forget()
        raise TargetGone(f"{self.recorder.table}: the target was gone; the backfill starts over")

    def remove_duplicates(self) -> int:
        """See Destination.remove_duplicates."""
        names = identity_of(self.plan)

        def remove() -> int:
            with self.step("duplicates"):
                self.see_owner(self.warehouse.table(self.plan.target))
                return self.warehouse.table(self.plan.target).keep_newest(names) if names else 0

        count = self.retried(remove)
        if count:
            self.recorder.events.append(removed(count))
        return count

    def evolve(self, drift: Drift) -> Evolution | None:
        """See Destination.evolve; `schema_changes: manual` is not looked at."""
        if not drift.all_actions:
            return Evolution()
        self.columns = None
        self.claimed.remember_target(None)
        return self.retried(lambda: self._evolve(drift))

    def fill(self, batch: LoadBatch, into: TargetName | None = None) -> list[Row]:
        """Put the batch's files, and its rows into a staging table; the rows. into: the staging table that takes them
        in addition to what it holds; by default the batch's own, empty one."""
        if into is None:
            into = staging_table(self.plan.target, batch.batch)
            self.warehouse.staging[str(into)] = MemoryTable({})
        rows = read_rows(batch)
        point = "copy" if self.is_staged(batch) else "insert"
        if point == "copy":
            self.put(batch, rows)
        with self.step(point, batch.batch):
            self.warehouse.table(into).rows += rows
        self.recorder.tell("copied" if point == "copy" else "inserted")
        return rows

    def put(self, batch: LoadBatch, rows: Sequence[Row]) -> None:
        """Stage the batch's files. Idempotent."""
        with self.step("put", batch.batch):
            self.warehouse.staged[batch.batch] = list(rows)
        self.recorder.tell("put")

    def is_staged(self, batch: LoadBatch) -> bool:
        """True if the batch is loaded from files, not by bound values."""
        method = self.plan.config.load
        if method is LoadMethod.AUTO:
            return choose_method(batch.rows, batch.size) == "stage"
        return method is not LoadMethod.INSERT

    def written(self, row: Row, columns: Sequence[str], fence: int) -> Row:
        """The row as the target holds it: these columns, with pgsnow's own."""
        own: Row = {FENCE_COLUMN: fence}
        if self.plan.config.audit_columns:
            own |= {SYNCED_AT_COLUMN: datetime.now(UTC), RUN_ID_COLUMN: self.claimed.claim.run_id}
        return {name: row[name] for name in columns} | own

    def check_counts(self, changed: int, rows: int) -> None:
        """See pgsnow.sync.load.context.LoadContext.check_counts."""
        if changed < rows:
            self.claimed.check_fence(self.warehouse.table(self.plan.target).newest_fence)
        elif changed > rows:
            self.remove_duplicates()

    def result(self, inserted: int = 0, updated: int = 0) -> LoadResult:
        """The result of a statement that has moved rows."""
        return LoadResult(inserted, updated, query_ids=(f"memory-{len(self.warehouse.calls)}",))

    def _fit(self, *, relaxed: bool) -> bool:
        with self.step("prepare"):
            there, self.looked = self.warehouse.tables.get(str(self.plan.target)), True
            if there is None:
                self.read_all()
            else:
                self.see_owner(there)
            wanted = {f.target: f.type.snowflake for f in self.plan.output} | dict(self.plan.metadata_columns)
            fit = (
                self.shape.alterations(_described(there) if there else (), relaxed=relaxed) if there else None
            )
            table = self.warehouse.create(self.plan.target, wanted)
            if there is None:
                table.comment = self.claimed.mark_of(str(self.plan.target))
            for name, kind in wanted.items():
                table.columns.setdefault(name, kind)
                for row in table.rows:
                    row.setdefault(name, None)
        created = f"created table {self.plan.target}"
        self.recorder.events.extend(
            [change.event for change in fit.changes if change.event] if fit else [created]
        )
        if table.columns != self.columns:
            self.columns = dict(table.columns)
            self.claimed.remember_target(self.columns)
        return there is None

    def _evolve(self, drift: Drift) -> Evolution | None:
        with self.step("evolve"):
            table = self.warehouse.tables.get(str(self.plan.target))
            if table is None:
                return None
            self.see_owner(table)
            interim = drift.pre_actions if self.claimed.claim.stored_definition != drift.interim else ()
            planned = evolution(self.plan.target, (*interim, *drift.actions), _described(table))
            if planned.incomplete is not None:
                self.read_all()
            for action in interim:
                table.alter(action)
            if interim and drift.interim is not None:
                self.claimed.remember_source(drift.interim)
            for action in drift.actions:
                table.alter(action)
        self.recorder.events.extend(change.event for change in planned.changes)
        self.recorder.tell("evolved")
        return Evolution(incomplete=planned.incomplete)

    def _remove(self, batches: Sequence[OpenBatch]) -> None:
        with self.step("clean up"):
            self.warehouse.clean_up(self.plan.target, [batch.name for batch in batches])


def read_rows(batch: LoadBatch) -> list[Row]:
    """The rows of the batch's part files, in order."""
    return [row for part in batch.parts for row in pq.read_table(part.path).to_pylist()]


def _described(table: MemoryTable) -> list[TargetColumn]:
    return [TargetColumn(name, kind, required=False, computed=False) for name, kind in table.columns.items()]
