"""The Snowflake side of one run, behind a protocol that a test can replace with a fake."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pgsnow.model.batch import LoadResult
from pgsnow.model.config.options import Deletes
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError, TargetMissing
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, MetadataColumn
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.snowflake.load.cleanup import (
    keys_above,
    newest_fence,
    older_rows,
    prune,
    prune_above,
    removal_steps,
)
from pgsnow.snowflake.load.shadow_table import create_shadow
from pgsnow.snowflake.query import count_rows, select_keys
from pgsnow.snowflake.schema.evolve import Evolution
from pgsnow.snowflake.schema.length_limits import Limit, limits_of
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.deletes import HARD, RowRemoval
from pgsnow.snowflake.sql.soft_deletes import MARKED, UNMARKED, Gone, delete_marked
from pgsnow.snowflake.statement import execute_all, number_in
from pgsnow.sync.compare.sides import Side
from pgsnow.sync.load.choose import LoadFacts, choose
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.deferred import load_staged, next_batch, upload_later
from pgsnow.sync.load.deletes import Removed, RunTargetSide, remove_keys
from pgsnow.sync.load.early_upload import EarlyUploader
from pgsnow.sync.load.loader import Loader
from pgsnow.sync.load.open_batches import FilePlace, OpenBatch, OpenBatches, remove_loaded_files
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.target import RECREATED, Target
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.load_batches import Uploads, batch_name
from pgsnow.sync.runtime.context import EngineContext, TargetNotes
from pgsnow.sync.runtime.recorder import Recorder

T = TypeVar("T")
JointPart = tuple["Destination", Sequence[Sequence[StagedBatch]]]
"""The destination of a table, and its staged batches, those of one MERGE together (`in_loads`)."""


@dataclass(frozen=True, slots=True)
class PreparedTarget:
    """A target that can be loaded. limits: columns that are shorter than Snowflake's maximum. created: it had to be
    created, and is empty. If everything must be read, also for another reason, `ClaimedTable.because` says why."""

    limits: tuple[Limit, ...]
    created: bool = False


class Destination(Protocol):
    """The target of one run, and everything that the run stores outside Postgres. Created by
    `EngineContext.destination`.

    Opens no connection before it is needed: an idle table needs none. Every method retries transient errors, and
    raises LeaseLost once another run has claimed the table.
    """

    @property
    def batches(self) -> OpenBatches:
        """The open batches of the run, which must be cleaned up."""

    @property
    def uploads(self) -> Uploads | None:
        """Uploads finished part files while the rest of their batch is still read; None: files are uploaded with
        their batch."""

    def evolve(self, drift: Drift) -> Evolution | None:
        """Alter the target's columns to fit the source; None if there is no target. Raises SchemaChangePending."""

    def prepare(
        self, *, relaxed: bool = False, loads: bool = True, guarded: bool = False, waits: bool = False
    ) -> PreparedTarget:
        """Make sure that the target exists, is as it was after the last load, and can take the plan's rows. One
        statement without a warehouse, once a run, if the ledger already has a suitable target. relaxed: columns outside
        the key must accept NULL from now on. loads: False if nothing is loaded now; nothing is sent then if the ledger
        has a suitable target. guarded: only batches of the `merge` loader are loaded; a process that has looked at the
        target a short while ago sends nothing then. waits: the direct copy of a first load follows, which may create a
        missing target while it uploads its first batch. Raises TargetConflict, SchemaChangePending,
        TargetAccessDenied, TargetGone."""

    def prepare_again(self) -> PreparedTarget:
        """Like `prepare`, but ignores what the ledger has about the target."""

    def definition(self, drift: Drift) -> SourceDefinition | None:
        """The source's definition to store once everything is loaded; None: it is stored already."""

    def loader(self, facts: LoadFacts) -> Loader:
        """The loader for these rows."""

    def create_shadow(self, fence: int) -> None:
        """Create the shadow table of the backfill with this fence, and exclude it from cleanup. Idempotent."""

    def keep_shadow(self, fence: int) -> None:
        """Exclude the shadow table of the backfill with this fence from cleanup."""

    def load_staged(self, batches: Sequence[StagedBatch], number: int, *, copies: bool = False) -> None:
        """Load these staged batches as the run's batch of this number. copies: they are all that wait, and may be
        copied once, without a MERGE. Raises StagedRowsLost, TargetQueryFailed, StagingRefused."""

    def upload(self, batch: StagedBatch, parts: Sequence[Path]) -> None:
        """Upload the files of a staged batch that were kept elsewhere until now. Idempotent. Raises StagedRowsLost if
        its target was dropped, or is another one now."""

    def load_together(
        self, parts: Sequence[JointPart], row: ConsistentTick, most: int
    ) -> Mapping[str, PgsnowError | None]:
        """Load the staged batches of several tables, of which this is one, in one transaction, with the tick's row in
        PGSNOW_TICKS. Returns for each the error for which it was left out; None: it is loaded. most: with more rows
        than that, tables are loaded one by one, and the row says so. Idempotent, also for the row. Raises an error that
        concerns no single table: then nothing is loaded. No target may have anything to be altered or created."""

    def follow_live_view(self, *, sweeps: bool) -> None:
        """Make the live view of the target show what is loaded and what is staged now, or drop it if the configuration
        has none any more. Idempotent. Nothing is sent if nothing has changed. sweeps: rows may be removed next. A
        refusal is reported as an event."""

    def prune(self, fence: int) -> int:
        """After a full read: delete the target's rows that no run with this fence or a later one wrote, or mark them
        as deleted with `deletes: soft` (a mark keeps its time); returns how many."""

    def older_rows(self, fence: int) -> tuple[int, int]:
        """How many rows `prune` would delete, and how many the target has."""

    def remove_duplicates(self) -> int:
        """Keep one row of each key (with mode append: of each identity), the one with the highest fence, and report
        that as an event; returns how many were removed. Idempotent. Raises TargetMissing."""

    def held_keys(self, keys: Sequence[tuple[Any, ...]]) -> Collection[tuple[Any, ...]]:
        """Those of these keys (values of the plan's target key) of which the target has a row that is not marked as
        deleted. A target that was dropped is created first, which deletes the checkpoint; the same holds for the next
        two questions."""

    def newest_fence(self) -> int:
        """The highest fence of any row in the target; 0 if there is none, or no column of fences."""

    def keys_above(self, column: MetadataColumn, value: Any) -> list[tuple[Any, ...]]:
        """The keys of the target's rows in which the column is above the value."""

    def prune_above(self, fence: int, column: MetadataColumn, value: Any) -> int:
        """Like `prune`, but only for the rows in which the column is above the value."""

    def side(
        self,
        *,
        without: Sequence[tuple[Any, ...]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
    ) -> Side:
        """The target's rows that are not marked as deleted, for a comparison. without: values of keys to leave out.
        only: leave out all others. cells: the columns whose contents are compared (none: keys alone). octets: as in
        snowflake/sql/compare_content.py. Its methods raise TargetMissing."""

    def remove_keys(self, keys: KeySpool, deletes: Deletes) -> Removed:
        """Remove the rows of these keys, except those that a run with a later fence wrote: delete them, or mark them as
        deleted. Idempotent. Raises LedgerOutdated, TargetMissing."""

    def marked_rows(self) -> int:
        """How many of the target's rows are marked as deleted."""

    def delete_marked(self) -> int:
        """Delete the rows that are marked as deleted; returns how many. Idempotent."""


class SnowflakeDestination:
    """See `Destination`."""

    def __init__(
        self,
        engine: EngineContext,
        plan: TablePlan,
        table: ClaimedTable,
        recorder: Recorder,
    ) -> None:
        self.session: RunSession = RunSession(engine.sessions, recorder, engine.stop)
        notes = engine.notes.setdefault(str(plan.target), TargetNotes())
        shares = table.claim.chunk is None and engine.busy.get(recorder.run_id, 0) > 1
        looks = engine.looks if shares else None
        self.target = Target(
            plan, table, self.session, recorder,
            notes=notes, looks=looks, made=engine.made, formats=engine.formats,
        )  # fmt: skip
        stage = engine.stages.serving(plan.config.load)
        self._account = engine.settings.snowflake.account
        self.batches = OpenBatches(
            table,
            recorder,
            lambda batches: self._remove(batches, self.session.do),
            lambda batches: self._remove(batches, self.session.once),
            self.session.unsettled,
            FilePlace(
                self._account,
                stage.location(plan.target),
                self._remove_due,
                grace=plan.config.live_view_grace if plan.config.live_view else 0.0,
            ),
        )
        self._load = LoadContext(
            plan,
            table,
            recorder,
            engine.stop,
            self.session,
            self.batches,
            self.target,
            engine.stages,
            stage,
        )
        self.uploads = EarlyUploader(self._load)
        self.loader = partial(choose, self._load)
        self.evolve = self._evolve if plan.config.live_view else self.target.evolve
        self.remove_duplicates = self._load.remove_duplicates
        self.remove_keys = partial(remove_keys, self._load)
        self.upload = partial(upload_later, self._load)
        self.definition = lambda drift: drift.definition_to_store(
            table.claim.stored_definition, self.target.columns
        )

    def prepare(
        self,
        *,
        relaxed: bool = False,
        inspect: bool = False,
        loads: bool = True,
        guarded: bool = False,
        waits: bool = False,
    ) -> PreparedTarget:
        with self._load.recorder.timed("prepare"):
            reads_all = self.target.make_fit(
                relaxed=relaxed, inspect=inspect, loads=loads, guarded=guarded, waits=waits
            )
        created = reads_all and (self.target.missing or self._load.table.because == RECREATED)
        return PreparedTarget(limits_of(self.target.columns or {}, self._load.plan.output), created)

    def prepare_again(self) -> PreparedTarget:
        return self.prepare(inspect=True)

    def create_shadow(self, fence: int) -> None:
        load, batch = self._load, batch_name(self._load.plan, fence, 0)
        self.batches.record(batch)
        self.batches.keep_shadow(batch)
        self.session.do(lambda session: execute_all(session, [create_shadow(load.plan, batch)]))

    def keep_shadow(self, fence: int) -> None:
        self.batches.keep_shadow(batch_name(self._load.plan, fence, 0))

    def load_staged(self, batches: Sequence[StagedBatch], number: int, *, copies: bool = False) -> None:
        fence = self._load.table.claim.fence
        load_staged(self._load, batches, batch_name(self._load.plan, fence, number), copies=copies)

    def _evolve(self, drift: Drift) -> Evolution | None:
        """As `Target.evolve`. The live view is renewed at once: it fails while it names a column that is gone."""
        evolved = self.target.evolve(drift)
        if evolved is not None and drift.all_actions:
            from pgsnow.sync.load.live_view.renewal import follow

            follow(self._load, sweeps=False, loaded=False)
        return evolved

    def load_together(
        self, parts: Sequence[JointPart], row: ConsistentTick, most: int
    ) -> Mapping[str, PgsnowError | None]:
        from pgsnow.sync.load.joint.together import (  # with `consistency: tick`
            JointLoad,
            load_together,
            write_row,
        )

        if not parts:
            write_row(self.session, row)
            return {}
        loads = []
        for destination, groups in parts:
            load = cast("SnowflakeDestination", destination)._load
            numbered = enumerate(
                groups, next_batch([b for group in groups for b in group], load.table.claim.fence)
            )
            names = [(batch_name(load.plan, load.table.claim.fence, at), group) for at, group in numbered]
            loads.append(JointLoad(load, names))
        return load_together(loads, row, most)

    def follow_live_view(self, *, sweeps: bool) -> None:
        from pgsnow.sync.load.live_view.renewal import follow  # only for such tables

        follow(self._load, sweeps=sweeps)

    def prune(self, fence: int) -> int:
        load, removal = self._load, self._load.removal
        removed = self.session.do(lambda session: prune(session, load.plan.target, fence, removal))
        self._follow_rows(removed, removal)
        return removed

    def older_rows(self, fence: int) -> tuple[int, int]:
        load = self._load
        marks = self._has_marks and load.gone() is not Gone.DELETED
        where = UNMARKED if marks else "TRUE"
        return self.session.do(lambda session: older_rows(session, load.plan.target, fence, where))

    def held_keys(self, keys: Sequence[tuple[Any, ...]]) -> Collection[tuple[Any, ...]]:
        plan = self._load.plan
        where = UNMARKED if self._has_marks else ""
        return self.asked(lambda session: select_keys(session, plan.target, plan.target_key, keys, where))

    def newest_fence(self) -> int:
        return self.asked(lambda session: newest_fence(session, self._load.plan.target))

    def keys_above(self, column: MetadataColumn, value: Any) -> list[tuple[Any, ...]]:
        return self.asked(lambda session: keys_above(session, self._load.plan, column, value))

    def prune_above(self, fence: int, column: MetadataColumn, value: Any) -> int:
        load, removal = self._load, self._load.removal
        removed = self.session.do(
            lambda session: prune_above(session, load.plan, fence, column, value, removal)
        )
        self._follow_rows(removed, removal)
        return removed

    def side(
        self,
        *,
        without: Sequence[tuple[Any, ...]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
    ) -> Side:
        return RunTargetSide(
            self.session, self._load.plan, without=without, only=only, cells=cells, octets=octets,
            marks=self._has_marks,
        )  # fmt: skip

    def delete_marked(self) -> int:
        if not self._has_marks:
            return 0
        statement = delete_marked(self._load.plan.target)
        deleted = self.session.do(lambda session: number_in(session.execute(statement), HARD.counted))
        self._follow_rows(deleted, HARD)
        return deleted

    def marked_rows(self) -> int:
        if not self._has_marks:
            return 0
        plan = self._load.plan
        return self.session.do(lambda session: count_rows(session, plan.target, MARKED))

    @property
    def _has_marks(self) -> bool:
        """True if the target, which must be prepared, has a column for marks of deleted rows."""
        return DELETED_AT_COLUMN in (self.target.columns or ())

    def _follow_rows(self, removed: int, removal: RowRemoval) -> None:
        """Follow the number of rows in the target after a removal."""
        if not removal.leaves_rows:
            self.target.note_fence(None)
            self._load.table.add_rows(None if self.session.failed else -removed)

    def asked(self, question: Callable[[Session], T]) -> T:
        """The answer of the target, which is created first if it was dropped: everything is read again then."""
        try:
            return self.session.do(question)
        except TargetMissing:
            self.target.make_fit(inspect=True)
            return self.session.do(question)

    def _remove(
        self, batches: Sequence[OpenBatch], do: Callable[[Callable[[Session], LoadResult]], LoadResult]
    ) -> None:
        load = self._load
        steps = removal_steps(
            load.plan.target,
            [batch.name for batch in batches if batch.table],
            [batch.name for batch in batches if batch.files],
            load.stages.all if any(batch.inherited for batch in batches) else (load.stage,),
        )
        do(lambda session: execute_all(session, steps))

    def _remove_due(self) -> None:
        load = self._load
        account, place = self._account, load.stage.location(load.plan.target)
        load.recorder.events += remove_loaded_files(
            load.table.ledger, load.session.do, load.stages, account, [place]
        )


def destination_of(
    engine: EngineContext,
    plan: TablePlan,
    table: ClaimedTable,
    recorder: Recorder,
) -> Destination:
    """The destination of a run: Snowflake, unless a test has set another one."""
    make = engine.destination or SnowflakeDestination
    made: Destination = make(engine, plan, table, recorder)
    return made
