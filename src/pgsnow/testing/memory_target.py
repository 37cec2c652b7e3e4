"""One run's target table in memory: created if it is missing, altered to fit the source, remembered in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import TargetAccessDenied
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN, RUN_ID_COLUMN, SYNCED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName, TargetState
from pgsnow.snowflake.load.duplicates import identity_of, removed
from pgsnow.snowflake.load.merge import choose_method
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.schema.evolve import Evolution, evolution
from pgsnow.snowflake.schema.target_table import LOST, Shape, TargetColumn
from pgsnow.snowflake.sql.soft_deletes import Gone, gone_rows
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.open_batches import OpenBatch, OpenBatches
from pgsnow.sync.load.session import with_retries
from pgsnow.sync.load.target import RECREATED, TargetGone
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
    failed: bool = False
    reads_all: bool = False
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
        """True if its columns are known and take the rows of the plan."""
        return self.columns is not None and self.shape.suffices(self.columns)

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
        return with_retries(lambda: self._tried(action), self.stop)

    def add_rows(self, number: int) -> None:
        """Follow the number of the target's rows. After a failure it is not known: a reply may have been lost."""
        self.claimed.add_rows(None if self.failed else number)

    def follow_rows(self, removed: int) -> None:
        """Follow the number of the target's rows after a removal, which may only have marked them."""
        if self.gone() is not Gone.MARKED:
            self.add_rows(-removed)

    def _tried(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception:
            self.failed = True
            raise

    def make_fit(self, *, relaxed: bool = False, inspect: bool = False, loads: bool = True) -> bool:
        """See pgsnow.sync.load.target.Target.make_fit."""
        if inspect:
            self.columns, self.looked, self.claimed.rows = None, False, None
        self.reads_all = False
        if relaxed or not self.is_fit or (loads and not self.looked):
            self.retried(lambda: self._fit(relaxed=relaxed))
        return self.reads_all

    def see_owner(self, table: MemoryTable) -> None:
        """See pgsnow.sync.load.target.Target."""
        places = self.claimed.claim.places
        if places and places[0]["mark"] and places[0]["mark"] in table.comment:
            return
        settled = self.claimed.owner_of(str(self.plan.target), table.comment)
        if settled is not None:
            table.comment = settled.comment
            self.recorder.events.extend([settled.event] if settled.event else [])
            if not settled.event and not table.rows:
                self.claimed.remember_created(str(self.plan.target))
            self.claimed.remember_mark(settled.mark)

    def existing(self) -> MemoryTable:
        """The target, which is created if it was dropped."""
        if str(self.plan.target) not in self.warehouse.tables:
            self.make_fit(inspect=True)
        return self.warehouse.table(self.plan.target)

    def begin_again(self, because: str, *, doubt: bool) -> None:
        """See pgsnow.sync.load.target.Target.begin_again."""
        self.columns, self.reads_all = None, True
        if doubt:
            self.recorder.events.append(f"{because}: {self.plan.repair}")
        table = self.warehouse.tables.get(str(self.plan.target))
        name = str(self.plan.target) if because == RECREATED and not doubt else None
        self.claimed.begin_again(table.created_on if table else "", because, because if doubt else None, name)
        if self.claimed.claim.chunk is not None:
            raise TargetGone(f"{self.recorder.table}: {because}; the backfill starts over")

    def check_shadow(self, shadow: TargetName) -> None:
        """See pgsnow.sync.load.target.Target.check_shadow."""
        if self.make_fit(inspect=True):
            return
        if str(shadow) in self.warehouse.staging:
            raise TargetAccessDenied(f"{shadow} may not be used any more")
        self.begin_again("the shadow table was gone", doubt=False)

    def remove_duplicates(self) -> int:
        """See Destination.remove_duplicates."""
        names = identity_of(self.plan)

        def remove() -> int:
            with self.step("duplicates"):
                self.see_owner(self.warehouse.table(self.plan.target))
                return self.warehouse.table(self.plan.target).keep_newest(names) if names else 0

        count = self.retried(remove)
        if count:
            self.add_rows(-count)
            self.recorder.events.append(removed(count))
        return count

    def evolve(self, drift: Drift) -> Evolution | None:
        """See Destination.evolve; `schema_changes: manual` is not looked at."""
        if not drift.all_actions:
            return Evolution()
        self.columns = None
        self.claimed.remember_target(None, altered=drift.altered)
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
        self.stage(batch.batch, rows)

    def stage(self, batch: str, rows: Sequence[Row]) -> None:
        """Stage the rows as the files of this batch. Idempotent."""
        with self.step("put", batch):
            self.warehouse.staged[batch] = list(rows)
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
        if DELETED_AT_COLUMN in (self.columns or ()):
            own[DELETED_AT_COLUMN] = None
        return {name: row[name] for name in columns} | own

    def gone(self, *, other_keys: bool = False) -> Gone:
        """See pgsnow.sync.load.context.LoadContext.gone."""
        created = self.claimed.claim.created_target
        return gone_rows(self.plan, created, self.columns, other_keys=other_keys)

    def remove(self, selected: Callable[[Row], bool], fence: int, gone_rows: Gone | None = None) -> int:
        """Mark or delete the target's rows that are selected; how many. gone_rows: how, by default as `gone` says. See
        pgsnow.snowflake.sql.soft_deletes.removal_of."""
        table, gone = self.warehouse.table(self.plan.target), gone_rows or self.gone()
        if gone is Gone.DELETED:
            return table.delete(selected)
        rows = [row for row in table.rows if row[DELETED_AT_COLUMN] is None and selected(row)]
        if gone is Gone.KEPT:
            return table.delete(lambda row: any(row is other for other in rows))
        for row in rows:
            row.update(self.mark(fence))
        return len(rows)

    def mark(self, fence: int) -> Row:
        """The columns of a row that is marked as deleted now."""
        return self.written({}, (), fence) | {DELETED_AT_COLUMN: datetime.now(UTC)}

    def check_counts(self, changed: int, rows: int) -> None:
        """See pgsnow.sync.load.context.LoadContext.check_counts."""
        if changed < rows:
            self.claimed.check_fence(self.warehouse.table(self.plan.target).newest_fence)
        elif changed > rows:
            self.remove_duplicates()

    def result(self, inserted: int = 0, updated: int = 0) -> LoadResult:
        """The result of a statement that has moved rows."""
        return LoadResult(inserted, updated, query_ids=(f"memory-{len(self.warehouse.calls)}",))

    def _look(self) -> None:
        """Compare the target with what is remembered of it."""
        self.looked, table = True, self.warehouse.tables.get(str(self.plan.target))
        if table is None:
            return
        self.see_owner(table)
        known = replace(self.claimed.claim.target, rows=self.claimed.rows)
        self.claimed.rows = len(table.rows)
        if (difference := known.difference(TargetState(table.created_on, len(table.rows)))) is not None:
            self.begin_again(difference, doubt=True)
        elif known.created_on is None and self.columns is not None:
            self.claimed.remember_target(self.columns, table.created_on)

    def _fit(self, *, relaxed: bool) -> None:
        with self.step("prepare"):
            if not self.looked:
                self._look()
            table = self.warehouse.tables.get(str(self.plan.target))
            if table is not None and self.is_fit and not relaxed:
                return
            wanted = {f.target: f.type.snowflake for f in self.plan.output} | dict(self.plan.metadata_columns)
            events = [f"created table {self.plan.target}"]
            if table is None:
                with self.claimed.creating():
                    table = self.warehouse.create(self.plan.target, wanted)
                    table.comment = self.claimed.mark_of(str(self.plan.target))
                self.claimed.rows = 0
                self.begin_again(RECREATED, doubt=False)
            else:
                there = self._described(table)
                changes = self.shape.alterations(there, relaxed=relaxed).changes
                events = [change.event for change in changes if change.event]
            for name, kind in wanted.items():
                table.columns.setdefault(name, kind)
                for row in table.rows:
                    row.setdefault(name, None)
        self.recorder.events.extend(events)
        if table.columns != self.columns:
            self.columns = dict(table.columns)
            self.claimed.remember_target(self.columns, table.created_on)

    def _described(self, table: MemoryTable) -> list[TargetColumn]:
        there = [
            TargetColumn(name, kind, required=False, computed=False) for name, kind in table.columns.items()
        ]
        if lost := self.shape.lost_columns(self.claimed.claim.target.columns, there):
            self.begin_again(LOST.format(", ".join(lost)), doubt=True)
        return there

    def _evolve(self, drift: Drift) -> Evolution | None:
        with self.step("evolve"):
            if not self.looked:
                self._look()
            table = self.warehouse.tables.get(str(self.plan.target))
            if table is None:
                self._fit(relaxed=False)
                return None
            interim = drift.pre_actions if self.claimed.claim.stored_definition != drift.interim else ()
            planned = evolution(self.plan.target, (*interim, *drift.actions), self._described(table))
            if planned.incomplete is not None and self.claimed.because is None:
                self.claimed.forget()
            for action in interim:
                table.alter(action)
            if interim and drift.interim is not None:
                self.claimed.remember_source(drift.interim)
            for action in drift.actions:
                table.alter(action)
        self.recorder.events.extend(change.event for change in planned.changes)
        self.recorder.tell("evolved")
        return Evolution(incomplete=self.claimed.because or planned.incomplete)

    def _remove(self, batches: Sequence[OpenBatch]) -> None:
        with self.step("clean up"):
            self.warehouse.clean_up(self.plan.target, [batch.name for batch in batches])


def read_rows(batch: LoadBatch) -> list[Row]:
    """The rows of the batch's part files, in order."""
    return read_parts([part.path for part in batch.parts])


def read_parts(parts: Sequence[Path]) -> list[Row]:
    """The rows of these files, in order."""
    return [row for part in parts for row in pq.read_table(part).to_pylist()]
