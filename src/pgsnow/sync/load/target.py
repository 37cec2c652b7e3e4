"""The target of one run: created if it is missing, altered to fit the source, and cached in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgsnow.model.config.options import SchemaChanges
from pgsnow.model.errors import LeaseLost, TargetAccessDenied, TargetConflict, TargetQueryFailed
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetState
from pgsnow.snowflake.schema.evolve import Evolution, evolution
from pgsnow.snowflake.schema.required_ddl import TargetInspector, require_approval
from pgsnow.snowflake.schema.target_table import Shape, describe, make_fit, refuse_other_kinds, target_state
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.runtime.recorder import Recorder

UNMARKED = (
    "{target} cannot be marked as ours, and is not protected against another configuration (grant OWNERSHIP on it to"
    " the role): {why}"
)


class TargetGone(LeaseLost):
    """The table that a chunk should be loaded into was dropped. Nothing was created, and the ledger has dropped the
    backfill with its loaded chunks."""


class Target:
    """Prepares the target with as few statements as possible, based on the columns cached in the ledger."""

    def __init__(
        self,
        plan: TablePlan,
        table: ClaimedTable,
        session: RunSession,
        recorder: Recorder,
        *,
        approved: bool = False,
    ) -> None:
        """approved: a person has approved the DDL that is sent."""
        self._plan = plan
        self._table = table
        self._session = session
        self._recorder = recorder
        self._shape = Shape.of(plan)
        self._manual = plan.config.schema_changes is SchemaChanges.MANUAL and not approved
        self._created = False
        self._state: TargetState | None = None
        self._looked = False
        self.columns = table.claim.target_columns
        """The cached columns, name → type; None: they must be looked up before the next load."""

    @property
    def is_fit(self) -> bool:
        """True if it is known whose it is, and its columns are known and can take the plan's rows."""
        return self._looked and self.columns is not None and self._shape.suffices(self.columns)

    def forget_columns(self) -> None:
        """Discard the cached columns, so that this run and later ones look them up again."""
        self.columns = None
        self._table.remember_target(None)

    def make_fit(self, *, relaxed: bool = False, inspect: bool = False) -> bool:
        """Make the target fit for the plan; True if it had to be created. Sends nothing if the cached columns suffice.
        relaxed: columns outside the key must accept NULL from now on. inspect: ignore the cached columns.

        If it had to be created, the checkpoint in the ledger is deleted. Raises TargetConflict, SchemaChangePending,
        TargetGone.
        """
        if inspect:
            self.columns = None
        self._created = False
        self._session.do(lambda session: self.fit(session, relaxed=relaxed))
        return self._created

    def fit(self, session: Session, *, relaxed: bool = False) -> None:
        """Like `make_fit`, but within an action that has a session already."""
        self.look(session)
        if self.is_fit and not relaxed:
            return
        mark = self._table.mark_of(str(self._plan.target)) if self._state is None else ""
        try:
            if self._manual:
                required = TargetInspector(session).required(self._plan, relaxed=relaxed, mark=mark)
                self._require_approval(required.statements)
            there = describe(session, self._plan.target)
            if there is None:
                self.read_all()
            else:
                refuse_other_kinds(session, self._plan.target)
            columns, events = make_fit(session, replace(self._shape, comment=mark), there, relaxed=relaxed)
        except TargetConflict:
            self.forget_columns()  # the next run looks at the target before it stages rows
            raise
        if there is None:
            self._looked = False
            self.look(session)  # another session may have created it
        self._created = self._created or there is None
        self._recorder.events.extend(events)
        if columns != self.columns:
            self._table.remember_target(columns)
            self.columns = columns

    def look(self, session: Session) -> None:
        """Look up what the target is now, once, before anything is written to it. Raises NotTheOwner."""
        if self._looked:
            return
        self._state = target_state(session, self._plan.target)
        self._looked = True
        if self._state is not None:
            self._see_owner(session, self._state)

    def _see_owner(self, session: Session, state: TargetState) -> None:
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
        self._table.remember_mark(settled.mark)

    def read_all(self) -> None:
        """Delete the checkpoint, because the loaded rows were dropped with the table. Must be called before the
        target is complete again; otherwise a run that is killed in between would leave it without its rows. Raises
        TargetGone for a chunk of a backfill."""
        if self._table.claim.chunk is None:
            self._table.forget()
            return
        self.forget_columns()
        self._table.forget()
        raise TargetGone(f"{self._recorder.table}: the target was gone; the backfill starts over")

    def evolve(self, drift: Drift) -> Evolution | None:
        """Alter the target's columns to fit the current source; None if there is no target. Opens no connection if
        nothing needs to be done. Raises SchemaChangePending."""
        if not drift.all_actions:
            return Evolution()
        self.forget_columns()
        return self._session.do(lambda session: self._evolve(session, drift))

    def definition(self, drift: Drift) -> SourceDefinition | None:
        """The source's definition to store once everything is loaded; None: it is stored already."""
        return drift.definition_to_store(self._table.claim.stored_definition, self.columns)

    def _evolve(self, session: Session, drift: Drift) -> Evolution | None:
        """Renames columns first whose names are reused, and records that in the ledger before the names are reused."""
        target, table = self._plan.target, self._table
        self.look(session)
        there = describe(session, target)
        if there is None:
            return None
        refuse_other_kinds(session, target)
        interim = drift.pre_actions if table.claim.stored_definition != drift.interim else ()
        planned = evolution(target, (*interim, *drift.actions), there)
        self._require_approval([change.statement for change in planned.changes])
        if planned.incomplete is not None:
            self.read_all()
        first = evolution(target, interim, there)
        self._apply(session, first)
        if interim and drift.interim is not None:
            table.remember_source(drift.interim)
            self._recorder.tell("evolved")
        then = evolution(target, drift.actions, describe(session, target) or ())
        self._apply(session, then)
        return Evolution(incomplete=first.incomplete or then.incomplete)

    def _apply(self, session: Session, evolved: Evolution) -> None:
        for change in evolved.changes:
            session.execute(change.statement)
            self._recorder.tell("evolved")
        self._recorder.events.extend(change.event for change in evolved.changes)

    def _require_approval(self, statements: Sequence[str]) -> None:
        if self._manual:
            require_approval(self._plan.config.name, statements)
