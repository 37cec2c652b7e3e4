"""The target of one run: compared with what the ledger remembers of it, created if it is missing, altered to fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from pgsnow.model.config.options import SchemaChanges
from pgsnow.model.config.table_config import LoadVia
from pgsnow.model.errors import (
    LeaseLost,
    TargetAccessDenied,
    TargetConflict,
    TargetMissing,
    TargetQueryFailed,
)
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import JUST_CREATED, KnownTarget, TargetName, TargetState
from pgsnow.snowflake.load.shadow_table import columns_of_shadow
from pgsnow.snowflake.names import file_format_of, stage_of
from pgsnow.snowflake.schema.create import ADVICE, create, create_dropped, create_files
from pgsnow.snowflake.schema.evolve import Evolution, evolution
from pgsnow.snowflake.schema.file_format import FileFormats
from pgsnow.snowflake.schema.looks import SharedLooks
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.schema.target_table import (
    LOST,
    Shape,
    TargetColumn,
    describe,
    make_fit,
    refuse_other_kinds,
    state_in_schema,
    target_state,
)
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import direct_copy as copy_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import replace_file_format
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.runtime.context import TargetNotes
from pgsnow.sync.runtime.recorder import Recorder

RECREATED = "the target was gone"
LOOK_SECONDS = 600.0
"""A process that has looked at a target so recently relies on the guards of its statements."""
STAGING_SECONDS = UNCOUNTED_SECONDS = 3600.0
"""After a refusal, load batches go through staging tables for so long, or the target's rows are not counted."""
REFUSED = (
    "Snowflake did not merge the files of {target} directly, so they are loaded through staging tables: {why} (grant"
    " CREATE FILE FORMAT on its schema to the role, and with `schema_changes: manual` run `pgsnow apply`; or write"
    " `load_via: table`)"
)
ALTERED = "the file format {format} was altered by a person ({options})"
IN_DOUBT = "values that were loaded while it was altered may differ, until pgsnow verify passes"
UNMARKED = (
    "{target} cannot be marked as ours, and is not protected against another configuration (grant OWNERSHIP on it to"
    " the role): {why}"
)


class TargetGone(LeaseLost):
    """The rows of a backfill's chunks are gone: its table was dropped, or is another one now. The ledger has dropped
    the backfill with its loaded chunks."""


class Target:
    """Prepares the target with as few statements as possible, based on what the ledger remembers of it.

    Each run looks at it once, before it loads anything: one SHOW TABLES, without a warehouse. If it is not as it was
    after the last load, the checkpoint is deleted, and `because` of the claimed table says why. A process that has
    looked at it a short while ago does not look before a statement that notices itself if it has another number of
    rows, or has not the rows that were loaded last.
    """

    def __init__(
        self,
        plan: TablePlan,
        table: ClaimedTable,
        session: RunSession,
        recorder: Recorder,
        *,
        approved: bool = False,
        notes: TargetNotes | None = None,
        looks: SharedLooks | None = None,
        made: SchemaObjects | None = None,
        formats: FileFormats | None = None,
    ) -> None:
        """approved: a person has approved the DDL that is sent. notes: what the process remembers of the target. looks:
        shared with other runs of the tick; None: there are none. made, formats: what the process has created, or
        seen, for all targets of a schema."""
        self._looks = looks
        self.notes = notes or TargetNotes()
        self._made = made or SchemaObjects()
        self._formats = formats or FileFormats()
        self._plan = plan
        self._table = table
        self._session = session
        self._recorder = recorder
        self._shape = Shape.of(plan)
        self._manual = plan.config.schema_changes is SchemaChanges.MANUAL and not approved
        self._reads_all = False
        self._state: TargetState | None = None
        self._looked = False
        self.missing = False
        """True if the target must be created before anything is loaded: `create_meanwhile`."""
        self._no_schema: float | None = None
        self.reads_files = reads_files(plan) and time.monotonic() >= self.notes.staging_until
        """True if a statement may read part files without a staging table."""
        self.columns = table.claim.target_columns
        """The cached columns, name → type; None: they must be looked up before the next load."""

    def forget_columns(self) -> None:
        """Discard the cached columns, so that this run and later ones look them up again."""
        self.columns = None
        self._table.remember_target(None)

    def note_fence(self, fence: int | None) -> int | None:
        """Remember the highest fence of the target's rows, by which the next statement recognises them; None: it is not
        known, because rows are about to be changed, or may have been removed. Returns what was remembered before."""
        before, self.notes.fence = self.notes.fence, fence
        return before

    def refuse_files(self, why: TargetQueryFailed) -> bool:
        """Read part files through staging tables from now on, because Snowflake has rejected the other way; False: they
        are read so already, the configuration does not allow it, or a value was refused, which would be refused again.
        """
        if not self.reads_files or self._plan.config.load_via is LoadVia.STAGE or why.about_data:
            return False
        self.reads_files, self.notes.staging_until = False, time.monotonic() + STAGING_SECONDS
        self._recorder.events.append(REFUSED.format(target=self._plan.target, why=why))
        return True

    def look_again(self, counted: int) -> bool:
        """After a statement has found the target altered, with so many rows: True if everything must be read again. If
        the target is as it was, statements do not count its rows for a while: a row access policy may hide some of
        them. (Its highest fence may be lower than known, if another process has deleted rows.)"""
        self._looked = False
        if self.make_fit():
            return True
        if counted != self._table.rows:
            self.notes.uncounted_until = time.monotonic() + UNCOUNTED_SECONDS
        return False

    def make_fit(
        self,
        *,
        relaxed: bool = False,
        inspect: bool = False,
        loads: bool = True,
        guarded: bool = False,
        waits: bool = False,
    ) -> bool:
        """Make the target fit for the plan; True if everything must be read again: it had to be created, or is not as
        it was after the last load. relaxed: columns outside the key must accept NULL from now on. inspect: ignore what
        is known of it. loads: False if nothing is loaded yet; the cached columns are relied on then. guarded: the
        statements that load will notice if the number of rows is not what it was. waits: a target that is missing
        need not be created before `create_meanwhile`; `missing` is True then.

        If everything must be read, the checkpoint in the ledger is deleted. Raises TargetConflict, SchemaChangePending,
        TargetAccessDenied, TargetGone.
        """
        if inspect:
            self.forget_columns()  # if the target turns out to be unusable, the next run looks before it stages rows
            if self._looked or self._session.lost:
                self._table.rows = None  # else it is the number that the target must have
            self._looked = False
            self._made.forget(stage_of(self._plan.target), file_format_of(self._plan.target))
            self._formats.forget(self._plan.target)
        self._reads_all = False
        known = self.columns is not None and self._shape.suffices(self.columns)
        notes, now = self.notes, time.monotonic()
        # Then the statements notice by themselves if it was altered, or an older state was restored.
        is_known = self._table.rows is not None and notes.fence is not None
        relies = guarded and is_known and self.reads_files and notes.uncounted_until <= now
        recent = relies and notes.looked_at is not None and now - notes.looked_at < LOOK_SECONDS
        if known and not relaxed and (self._looked or recent or not loads):
            return False
        if not self._session.do(lambda session: self.look(session, relaxed=relaxed)):
            # A stage that this process has not created yet is created together with the target.
            may_wait = waits and not self._manual and self._made.has(stage_of(self._plan.target))
            self.missing = self._state is None and may_wait
            if self.missing:
                return True
            self._session.do(lambda session: self.fit(session, relaxed=relaxed))
        return self._reads_all

    def create_meanwhile(self, work: Callable[[], None] | None) -> bool:
        """Create the missing target, whose creation has waited until now, while another thread does this work. True if
        the work has succeeded. Raises what `make_fit` raises, once the work has ended."""
        self.missing = False
        if work is None:
            self.make_fit()
            return False
        with ThreadPoolExecutor(1, thread_name_prefix="pgsnow-upload") as pool:
            done = pool.submit(work)
            self.make_fit()
        return done.exception() is None

    def fit(self, session: Session, *, relaxed: bool = False) -> None:
        """Like `make_fit`, but within an action that has a session already."""
        if self.look(session, relaxed=relaxed):
            return
        if self._state is None:
            self._shape = replace(self._shape, comment=self._table.mark_of(str(self._plan.target)))
        if self._manual:
            from pgsnow.snowflake.schema.required_ddl import TargetInspector  # where DDL must be approved

            inspector, mark = TargetInspector(session), self._shape.comment
            required = inspector.required(self._plan, relaxed=relaxed, mark=mark)
            self._require_approval(required.statements)
        if self._state is None and self._create(session):
            self._remember_columns(self._shape.new_columns, JUST_CREATED)
            self.notes.looked_at = time.monotonic()
            self._make_files(session)
            return
        try:
            there = self._described(session)
            columns, events = make_fit(session, self._shape, there, relaxed=relaxed)
        except TargetConflict:
            self.forget_columns()  # the next run looks at the target before it stages rows
            raise
        self._make_files(session)
        self._recorder.events.extend(events)
        self._remember_columns(columns, self._state.created_on if self._state else None)

    def _make_files(self, session: Session) -> None:
        """Create what files are staged in and read through. (If it is dropped, the next statement that needs it fails,
        and the run inspects the target.)"""
        since, target = time.monotonic() - LOOK_SECONDS, self._plan.target

        def create_format() -> None:
            self._formats.make_fit(session, target, since=since, creates=True, is_new=True)

        file_format = create_format if self.reads_files and not self._manual else None
        create_files(session, target, self._made, file_format=file_format)

    def _check_format(self, session: Session) -> None:
        """Look at the file format again, once in LOOK_SECONDS for each schema. If a person has altered it, the values
        that were read through it since the last look are in doubt. If it cannot be created again, load batches go
        through staging tables, which need none. Raises TargetConflict if the configuration forbids that."""
        since, target = time.monotonic() - LOOK_SECONDS, self._plan.target
        altered = self._formats.make_fit(session, target, since=since, creates=not self._manual)
        if altered is None or (self.notes.looked_at or 0.0) > altered.noticed:
            return
        event = ALTERED.format(format=file_format_of(target), options=altered.options)
        if altered.why is None:
            event += ", and was created again"
        elif self._plan.config.load_via is LoadVia.STAGE:
            raise TargetConflict(f"{event}: {altered.why}", advice=f"Run: {replace_file_format(target)};")
        else:
            self.reads_files, self.notes.staging_until = False, time.monotonic() + STAGING_SECONDS
            event += f", so load batches go through staging tables until it is as before: {altered.why}"
            event += f" (run: {replace_file_format(target)})"
        self._recorder.events.append(event)
        if self._table.claim.checkpoint is not None:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
            self._table.doubt(self._table.claim.unverified or f"{event} (noticed {now} UTC): {IN_DOUBT}")

    def _remember_columns(self, columns: dict[str, str], created_on: str | None) -> None:
        if columns != self.columns:
            self._table.remember_target(columns, created_on)
            self.columns = columns

    def _settle_owner(self, session: Session, state: TargetState) -> None:
        """Make sure that the target belongs to this table, and that its comment says so. Raises NotTheOwner."""
        target = self._plan.target
        settled = self._table.owner_of(str(target), state.comment)
        if settled is None:
            return
        if settled.comment != state.comment:
            try:
                session.execute(sql.set_comment(target, settled.comment))
            except (TargetAccessDenied, TargetQueryFailed) as denied:
                self._recorder.events.append(UNMARKED.format(target=target, why=denied))
                return
            self._recorder.events.extend([settled.event] if settled.event else [])
        elif state.rows == 0:  # a run was killed between its CREATE and the record of it
            self._table.remember_created(str(target))
        self._table.remember_mark(settled.mark)

    def begin_again(self, because: str, *, doubt: bool) -> None:
        """Delete the checkpoint, because the target does not have the rows that were loaded; everything is read again.
        doubt: it may have others, which must be deleted then. Raises TargetGone for a chunk of a backfill."""
        self.columns, self._reads_all = None, True
        self.note_fence(None)
        why = None
        if doubt:
            self._recorder.events.append(f"{because}: {self._plan.repair}")
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
            why = f"{because} (noticed {now} UTC): it may differ from its source until everything has been read again"
        name = str(self._plan.target) if because == RECREATED and not doubt else None
        self._table.begin_again(self._state.created_on if self._state else "", because, why, name)
        if self._table.claim.chunk is not None:
            raise TargetGone(f"{self._recorder.table}: {because}; the backfill starts over")

    def check_shadow(self, shadow: TargetName) -> None:
        """After error 2003 about this shadow table or the target: if one of them was dropped, create it, and let
        everything be read again. Raises TargetAccessDenied if neither was; TargetGone for a chunk of a backfill."""
        if self.make_fit(inspect=True):
            return
        shape = self._shape
        statement = copy_sql.create_shadow(shadow, shape.output, columns_of_shadow(self._plan), dropped=True)
        self._session.do(lambda session: create_dropped(session, shadow, statement))
        self.begin_again("the shadow table was gone", doubt=False)

    def look(self, session: Session, *, relaxed: bool = False, loading: int = 0, removing: int = 0) -> bool:
        """True if the target is there and its cached columns suffice. Once a run, look up what it is now, and whose,
        and compare that with what is remembered of it. loading, removing: up to so many rows are added and
        removed next; if an answer was lost, they may have been already. Raises NotTheOwner."""
        table, known = self._table, self._table.claim.target
        if not self._looked:
            self._state = state = self._shown(session)
            if state is not None:
                if self.reads_files:
                    self._check_format(session)
                if not self._is_marked(state):
                    self._settle_owner(session, state)  # rare
                self.notes.looked_at = time.monotonic()
                if known.created_on == JUST_CREATED:
                    known = replace(known, created_on=self._born(state) if self._is_marked(state) else "")
                if known.created_on != state.created_on or table.rows not in (None, state.rows):
                    possible = range(-removing, loading + 1) if self._session.lost else range(1)
                    state = self._compare(session, state, replace(known, rows=table.rows), possible)
                table.rows = state.rows
            self._looked = True
        suffices = self.columns is not None and self._shape.suffices(self.columns)
        return self._state is not None and suffices and not relaxed

    def _is_marked(self, state: TargetState) -> bool:
        """True if its comment has the mark of this table, as far as the ledger knows it."""
        mark = self._table.claim.places[0].get("mark") if self._table.claim.places else None
        return bool(mark and mark in state.comment)

    def _born(self, state: TargetState) -> str:
        """Remember when a target was created that carries the mark of this table."""
        self._table.remember_target(self.columns, state.created_on)
        return state.created_on

    def note_creation(self, session: Session) -> int | None:
        """At the end of the first load of a target that this run has created: look up when that was. Returns the number
        of its rows, which may be that of a moment ago; None: it is another table now. Raises TargetMissing."""
        state, known = target_state(session, self._plan.target), self._table.claim.target
        if state is None:
            raise TargetMissing(f"{self._plan.target} is gone", advice=ADVICE)
        if known.created_on == JUST_CREATED:
            if not self._shape.comment or self._shape.comment not in state.comment:
                return None  # the next run finds that
            self._born(state)
        return state.rows

    def _shown(self, session: Session) -> TargetState | None:
        """The target as it is now; until this run has sent a statement, as it was at some moment since it was claimed,
        which other runs may have asked for. A statement of a killed run may have changed it since then."""
        try:
            if self._looks is None or self._recorder.statements or self._table.claim.open_batches:
                return state_in_schema(session, self._plan.target)
            return self._looks.state(session, self._plan.target, self._recorder.clock.began)
        except TargetMissing:
            self._no_schema = self._recorder.clock.began
            return None

    def _compare(
        self, session: Session, state: TargetState, known: KnownTarget, possible: range
    ) -> TargetState:
        """The state of a target that is not as it is remembered, with its exact number of rows. If it really is not,
        everything is read again. possible: that many rows more are no difference."""
        if known.rows not in (None, state.rows) and known.created_on == state.created_on:
            # SHOW may be a moment behind; an exact count needs no warehouse either.
            [[rows]] = session.execute(sql.count(self._plan.target)).rows
            state = replace(state, rows=int(rows))
            if known.rows is not None and int(rows) - known.rows in possible:
                known = replace(known, rows=int(rows))
        if (difference := known.difference(state)) is not None:
            self.begin_again(difference, doubt=True)
        elif known.created_on is None and self.columns is not None:
            self._table.remember_target(self.columns, state.created_on)
        return state

    def _described(self, session: Session) -> list[TargetColumn]:
        """The target's columns. If one has lost the values that were loaded, everything is read again."""
        there = describe(session, self._plan.target)
        if there is None:
            raise TargetMissing(f"{self._plan.target} cannot be described", advice=ADVICE)
        refuse_other_kinds(session, self._plan.target)
        if lost := self._shape.lost_columns(self._table.claim.target.columns, there):
            self.begin_again(LOST.format(", ".join(lost)), doubt=True)
        return there

    def _create(self, session: Session) -> bool:
        """Create the target, which the role does not see. If that succeeds, its rows are certainly gone. True: it is
        new, and its comment says whose it is, so that nothing of it need be looked up."""
        with self._table.creating():
            created = create(session, self._shape, self._made, self._no_schema)
        is_known = created and bool(self._shape.comment)
        if is_known:
            self._state = TargetState(JUST_CREATED, 0, self._shape.comment)
        else:
            self._state = target_state(session, self._plan.target)
        if self._state is not None:
            self._settle_owner(session, self._state)  # another session may have created it
        self._table.rows = 0 if created else None
        self.notes.looked_at = time.monotonic()
        if created:
            self._recorder.events.append(f"created table {self._plan.target}")
        self.begin_again(RECREATED, doubt=not created)
        return is_known

    def evolve(self, drift: Drift) -> Evolution | None:
        """Alter the target's columns to fit the current source; None if there was no target. Opens no connection if
        nothing needs to be done. Raises SchemaChangePending."""
        if not drift.all_actions:
            return Evolution()
        self.columns = None
        self._table.remember_target(None, altered=drift.altered)
        return self._session.do(lambda session: self._evolve(session, drift))

    def _evolve(self, session: Session, drift: Drift) -> Evolution | None:
        """Renames columns first whose names are reused, and records that in the ledger before the names are reused."""
        target, table = self._plan.target, self._table
        self.look(session)
        if self._state is None:
            self.fit(session)
            return None
        there = self._described(session)
        interim = drift.pre_actions if table.claim.stored_definition != drift.interim else ()
        planned = evolution(target, (*interim, *drift.actions), there)
        self._require_approval([change.statement for change in planned.changes])
        if planned.incomplete is not None and table.because is None:
            table.forget()
        first = evolution(target, interim, there)
        self._apply(session, first)
        if interim and drift.interim is not None:
            table.remember_source(drift.interim)
            self._recorder.tell("evolved")
        then = evolution(target, drift.actions, describe(session, target) or ())
        self._apply(session, then)
        return Evolution(incomplete=table.because or first.incomplete or then.incomplete)

    def _apply(self, session: Session, evolved: Evolution) -> None:
        for change in evolved.changes:
            session.execute(change.statement)
            self._recorder.tell("evolved")
        self._recorder.events.extend(change.event for change in evolved.changes)

    def _require_approval(self, statements: Sequence[str]) -> None:
        if self._manual:
            from pgsnow.snowflake.schema.required_ddl import require_approval  # as above

            require_approval(self._plan.config.name, statements)


def reads_files(plan: TablePlan) -> bool:
    """True if a statement may read the table's part files without a staging table, as far as its configuration and its
    columns decide that."""
    # Snowflake does not document how a quote in a name is written in a path.
    plain = not any('"' in field.target for field in plan.output)
    return plain and plan.config.load_via is not LoadVia.TABLE
