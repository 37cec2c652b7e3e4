"""A `Destination` in memory, for tests of runs that need neither SQL text nor a Snowflake.

    warehouse = MemoryWarehouse()
    engine = Engine(config, settings, destination=memory_destination(warehouse))
    warehouse.fail("merge", TargetUnavailable("reply lost"), after=True)
    engine.tick()
    warehouse.tables["DB.ANALYTICS.USERS"].rows

It keeps the contract of `pgsnow.sync.load.loader.Loader` and of `Destination`, with the same outcomes, events for
observers and writes to the ledger. A batch that is loaded again leaves the same rows; of two rows with one key the
later one stays; a row with a higher fence is never overwritten; a dropped target is created again; what was staged is
cleaned up. tests/integration/sync/test_loader_promises.py runs the same tests against it and against Snowflake's.

It deviates from Snowflake: values are kept as the part files have them (JSON as text) and no type is checked beyond the
one that a column was created with; part files are not uploaded before their batch is complete; `schema_changes: manual`
is not looked at; there is one stage, which no one drops; nothing takes time, and the phases of a load count no seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, cast

from pgsnow.model.batch import LoadResult
from pgsnow.model.config.options import Deletes
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError, StagedRowsLost
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN, MetadataColumn
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.snowflake.load.shadow_table import columns_of_shadow
from pgsnow.snowflake.names import staging_table
from pgsnow.snowflake.schema.evolve import Evolution
from pgsnow.snowflake.schema.length_limits import limits_of
from pgsnow.snowflake.sql.soft_deletes import Gone
from pgsnow.sync.compare.sides import Side
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.deletes import Removed
from pgsnow.sync.load.destination import Destination, JointPart, PreparedTarget
from pgsnow.sync.load.insert_only.copy_once import PARTLY
from pgsnow.sync.load.loader import Loader
from pgsnow.sync.load.open_batches import OpenBatches
from pgsnow.sync.load.target import RECREATED
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.load_batches import Uploads, batch_name
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.testing.memory_changes import MemoryChanges
from pgsnow.testing.memory_deletes import remove_keys
from pgsnow.testing.memory_loaders import choose_memory_loader
from pgsnow.testing.memory_side import MemorySide
from pgsnow.testing.memory_target import MemoryTarget, read_parts
from pgsnow.testing.warehouse import Call, MemoryTable, MemoryWarehouse, Row, last_of_each

__all__ = ["Call", "MemoryDestination", "MemoryTable", "MemoryWarehouse", "memory_destination"]


def memory_destination(warehouse: MemoryWarehouse) -> Callable[..., Destination]:
    """The `destination` argument of an engine whose runs load into this warehouse."""

    def make(
        engine: EngineContext,
        plan: TablePlan,
        table: ClaimedTable,
        recorder: Recorder,
    ) -> Destination:
        return MemoryDestination(MemoryTarget(warehouse, plan, table, recorder, engine.stop))

    return make


@dataclass(frozen=True, slots=True)
class MemoryDestination:
    """See `Destination`."""

    target: MemoryTarget

    @property
    def batches(self) -> OpenBatches:
        return self.target.batches

    @property
    def uploads(self) -> Uploads | None:
        return None

    def evolve(self, drift: Drift) -> Evolution | None:
        return self.target.evolve(drift)

    def prepare(
        self,
        *,
        relaxed: bool = False,
        loads: bool = True,
        guarded: bool = False,  # noqa: ARG002 (it looks at its target each time)
        waits: bool = False,  # noqa: ARG002 (creating a target takes no time)
    ) -> PreparedTarget:
        return self._prepared(self.target.make_fit(relaxed=relaxed, loads=loads))

    def prepare_again(self) -> PreparedTarget:
        return self._prepared(self.target.make_fit(inspect=True))

    def definition(self, drift: Drift) -> SourceDefinition | None:
        return drift.definition_to_store(self.target.claimed.claim.stored_definition, self.target.columns)

    def loader(self, facts: LoadFacts) -> Loader:
        return choose_memory_loader(self.target, facts)

    def create_shadow(self, fence: int) -> None:
        target, batch = self.target, batch_name(self.target.plan, fence, 0)
        self.batches.record(batch)
        self.batches.keep_shadow(batch)
        with target.step("shadow", batch):
            columns = {f.target: f.type.snowflake for f in target.plan.output}
            columns |= dict(columns_of_shadow(target.plan))
            shadow = str(staging_table(target.plan.target, batch))
            target.warehouse.staging.setdefault(shadow, MemoryTable(columns))

    def keep_shadow(self, fence: int) -> None:
        self.batches.keep_shadow(batch_name(self.target.plan, fence, 0))

    def load_staged(self, batches: Sequence[StagedBatch], number: int, *, copies: bool = False) -> None:
        target = self.target
        into = batch_name(target.plan, target.claimed.claim.fence, number)
        for batch in batches:
            if batch.layout.target != target.plan.target:
                raise StagedRowsLost(f"{batch.batch} was staged for another target, {batch.layout.target}")
        self.batches.begin(into)
        if copies:
            result = target.result(target.retried(lambda: self._copy_once(batches)))
        else:
            result = target.retried(lambda: self._load_staged(batches, into))
        target.recorder.load_units += 1
        target.recorder.applied(result)
        target.add_rows(result.inserted - result.deleted)
        if all(batch.changes is None for batch in batches):
            target.check_counts(result.inserted + result.updated, sum(batch.rows for batch in batches))

    def upload(self, batch: StagedBatch, parts: Sequence[Path]) -> None:
        target = self.target
        if batch.layout.target != target.plan.target:
            raise StagedRowsLost(f"{batch.batch} was staged for another target, {batch.layout.target}")
        target.retried(lambda: target.stage(batch.batch, read_parts(parts)))
        target.recorder.bytes_staged += batch.size

    def load_together(
        self, parts: Sequence[JointPart], row: ConsistentTick, most: int
    ) -> Mapping[str, PgsnowError | None]:
        warehouse, outcomes = self.target.warehouse, dict[str, PgsnowError | None]()
        together = sum(batch.rows for _, groups in parts for group in groups for batch in group) <= most
        while set(outcomes) < {_table_of(destination) for destination, _ in parts}:
            left = [part for part in parts if _table_of(part[0]) not in outcomes]
            before = {name: [dict(row) for row in table.rows] for name, table in warehouse.tables.items()}
            done: list[str] = []
            for destination, groups in left:
                try:
                    for at, group in enumerate(groups):
                        destination.load_staged(group, 500_000 + at, copies=False)
                    done.append(_table_of(destination))
                except BaseException as error:
                    if together:
                        for name, rows in before.items():
                            warehouse.tables[name].rows[:] = rows
                        done.clear()
                    if not isinstance(error, PgsnowError):
                        raise
                    outcomes[_table_of(destination)] = error
                    if together:
                        break
            outcomes |= dict.fromkeys(done)
        why = {table: str(error) for table, error in outcomes.items() if error is not None}
        written = replace(row, left_out={**row.left_out, **why}, together=together)
        warehouse.ticks[row.tick] = (written, sorted(set(outcomes) - set(why)))
        return outcomes

    def prune(self, fence: int) -> int:
        def remove() -> int:
            with self.target.step("prune"):
                return self.target.remove(lambda row: (row[FENCE_COLUMN] or 0) < fence, fence)

        removed = self.target.retried(remove)
        self.target.follow_rows(removed)
        return removed

    def follow_live_view(self, *, sweeps: bool) -> None:
        """There are no files, and so no live view."""

    def older_rows(self, fence: int) -> tuple[int, int]:
        with self.target.step("count"):
            rows = self.target.warehouse.table(self.target.plan.target).rows
            if self.target.gone() is not Gone.DELETED:
                rows = [row for row in rows if row[DELETED_AT_COLUMN] is None]
            return sum((row[FENCE_COLUMN] or 0) < fence for row in rows), len(rows)

    def remove_duplicates(self) -> int:
        return self.target.remove_duplicates()

    def held_keys(self, keys: Sequence[tuple[Any, ...]]) -> Collection[tuple[Any, ...]]:
        def select() -> set[tuple[Any, ...]]:
            with self.target.step("select"):
                names = [field.target for field in self.target.plan.target_key]
                rows = [row for row in self.target.existing().rows if row.get(DELETED_AT_COLUMN) is None]
                return set(keys) & {tuple(row[name] for name in names) for row in rows}

        return self.target.retried(select)

    def newest_fence(self) -> int:
        with self.target.step("newest fence"):
            return self.target.existing().newest_fence

    def keys_above(self, column: MetadataColumn, value: Any) -> list[tuple[Any, ...]]:
        with self.target.step("keys above"):
            table, key = self.target.existing(), self.target.plan.key
            return [tuple(row[f.target] for f in key) for row in table.rows if _is_above(row, column, value)]

    def prune_above(self, fence: int, column: MetadataColumn, value: Any) -> int:
        with self.target.step("prune"):
            removed = self.target.remove(
                lambda r: (r[FENCE_COLUMN] or 0) < fence and _is_above(r, column, value), fence
            )
        self.target.follow_rows(removed)
        return removed

    def side(
        self,
        *,
        without: Sequence[tuple[Any, ...]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
    ) -> Side:
        return MemorySide(self.target, without=without, only=only, cells=cells, octets=octets)

    def remove_keys(self, keys: KeySpool, deletes: Deletes) -> Removed:
        return remove_keys(self.target, keys, deletes)

    def marked_rows(self) -> int:
        rows = self.target.existing().rows
        return sum(row.get(DELETED_AT_COLUMN) is not None for row in rows)

    def delete_marked(self) -> int:
        with self.target.step("delete"):
            deleted = self.target.existing().delete(lambda row: row.get(DELETED_AT_COLUMN) is not None)
        self.target.add_rows(-deleted)
        return deleted

    def _copy_once(self, batches: Sequence[StagedBatch]) -> int:
        """Copy the batches that were not copied before, all of them or none; how many rows. See copy_once."""
        target, layout = self.target, batches[0].layout
        table, rows = target.warehouse.table(layout.target), list[Row]()
        new = [batch for batch in batches if batch.batch not in table.copied]
        with target.step("copy", batches[-1].batch):
            for batch in new:
                found = target.warehouse.staged.get(batch.batch, [])
                if len(found) != batch.rows:
                    if len(new) < len(batches):
                        target.begin_again(PARTLY, doubt=False)
                    raise StagedRowsLost(
                        f"{layout.target}: batch {batch.batch} has {len(found)} rows in the stage"
                    )
                rows += [
                    target.written(row, [f.target for f in layout.columns], batch.fence) for row in found
                ]
            table.insert(rows)
            table.copied.update(batch.batch for batch in new)
        target.recorder.tell("copied")
        target.recorder.tell("inserted")
        return len(rows)

    def _load_staged(self, batches: Sequence[StagedBatch], into: str) -> LoadResult:
        target, layout = self.target, batches[0].layout
        staging = target.warehouse.staging[str(staging_table(layout.target, into))] = MemoryTable({})
        for batch in batches:
            with target.step("copy", batch.batch):
                found = target.warehouse.staged.get(batch.batch, [])
                if len(found) != batch.rows:
                    raise StagedRowsLost(
                        f"{layout.target}: batch {batch.batch} was staged with {batch.rows} rows, found {len(found)}"
                    )
                staging.rows += found
            target.recorder.tell("copied")
        key, names = [f.target for f in layout.key], [f.target for f in layout.columns]
        fence = max(batch.fence for batch in batches)
        kinds = [batch.changes for batch in batches if batch.changes is not None]
        follows = not batches[0].batch.endswith("-0")
        with target.step("merge", into):
            if kinds:
                changes = MemoryChanges(target, names, key, fence, reduce(or_, kinds), follows)
                result = changes.apply(staging.rows)
                target.recorder.tell("merged")
                return result
            rows = [target.written(row, names, fence) for row in last_of_each(staging.rows, key)]
            counts = target.warehouse.table(layout.target).merge(rows, key, fence)
        target.recorder.tell("merged")
        return target.result(*counts)

    def _prepared(self, reads_all: bool) -> PreparedTarget:
        created = reads_all and self.target.claimed.because == RECREATED
        return PreparedTarget(limits_of(self.target.columns or {}, self.target.plan.output), created)


def _table_of(destination: Destination) -> str:
    return cast("MemoryDestination", destination).target.recorder.table


def _is_above(row: Mapping[str, Any], column: MetadataColumn, value: Any) -> bool:
    found = row[column.name]
    return found is not None and bool(found > value)
