"""The target of one run: made if it is not there, fit for the source as it is now, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pgsnow.model.config.options import SchemaChanges
from pgsnow.model.errors import LeaseLost, SchemaChangePending, TargetQueryFailed
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.snowflake.schema.dry_run import DryRun
from pgsnow.snowflake.schema.evolve import Evolved, evolve, outlook
from pgsnow.snowflake.schema.length_limits import Limit, limits_of
from pgsnow.snowflake.schema.target_table import created, describe, ensure_target, suffices
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.session import RunSession

T = TypeVar("T")


class Target:
    """Looked at no more often than what the ledger remembers of it demands."""

    def __init__(self, delivery: LoadContext, session: RunSession, *, applying: bool) -> None:
        """applying: a person has seen what is sent."""
        self._delivery = delivery
        self._session = session
        self._manual = delivery.plan.config.schema_changes is SchemaChanges.MANUAL and not applying
        self._columns = delivery.claim.target_columns
        self.known = delivery.claim.stored_definition
        """What the ledger remembers of the source."""
        self.made = False
        """True once this run had to create the target."""
        self.gone = False
        """True once a chunk found no target to be loaded into: it makes none, and the backfill is over."""
        self.from_nothing = False
        """True once the ledger has no checkpoint any more, whatever the claim says of one."""

    @property
    def looked_at(self) -> bool:
        """Are its columns known, by this run or by one before it?"""
        return self._columns is not None

    def doubt(self) -> None:
        """It is looked at again before it is next relied upon."""
        self._columns = None

    def look_again(self) -> None:
        """What is known of the target may not be so any more, and the ledger is not to say it either."""
        self.doubt()
        self._delivery.ledger.checkpoints.remember_target(self._delivery.claim, None)

    def evolve(self, drift: Drift) -> Evolved | None:
        """Make the target's columns fit for the source as it is now; None if there is no target. Opens no connection
        where nothing is to be done. Raises SchemaChangePending."""
        if not drift.alters:
            return Evolved()
        self.look_again()
        return self._session.do(lambda session: self._evolve(session, drift))

    def to_remember(self, drift: Drift) -> SourceDefinition | None:
        """What the ledger should know of the source from now on; None: what it knows already."""
        return drift.to_remember(self.known, self._columns)

    def ensure(self, *, relaxed: bool = False) -> None:
        """Create the target now, for a table that has no row to load. relaxed: columns that are not of the key may be
        NULL from now on."""
        self._session.do(lambda session: self.fit(session, relaxed=relaxed))

    def ensure_anew(self) -> None:
        """Look at the target, which is made fit or made anew; see `made`."""
        self.doubt()
        self.ensure()

    def or_anew(self, action: Callable[[Session], T]) -> T:
        """The action; once more after a look at the target, if Snowflake refuses it: its stage may be gone."""
        try:
            return self._session.do(action)
        except TargetQueryFailed:
            self.ensure_anew()
            return self._session.do(action)

    def limits(self) -> tuple[Limit, ...]:
        """What the target's columns take less of than Snowflake would; looks at the target if nobody has."""
        if self._columns is None:
            self.ensure()
        return limits_of(self._columns or {}, self._delivery.plan.output)

    def fit(self, session: Session, *, relaxed: bool = False) -> None:
        """As `ensure`, within an action."""
        plan = self._delivery.plan
        if self._manual and (relaxed or not self._suffices()):
            self._ask_first(DryRun(session).target(plan, relaxed=relaxed).statements)
        columns, events = ensure_target(
            session,
            plan.target,
            plan.output,
            plan.target_key,
            self._columns,
            plan.own_columns,
            relaxed=relaxed,
            creating=self.read_all,
        )
        self._delivery.progress.events.extend(events)
        if created(plan.target) in events:
            self.made = self.from_nothing = True
        if columns != self._columns:
            self._delivery.ledger.checkpoints.remember_target(self._delivery.claim, columns)
            self._columns = columns

    def read_all(self) -> None:
        """What was loaded went with a target that somebody dropped, or is not where it should be. The ledger knows
        before the target looks as if nothing were missing, or a run that is killed here would leave it so."""
        claim = self._delivery.claim
        if claim.chunk is not None:
            self.gone = True
            self.look_again()
        self._delivery.ledger.checkpoints.forget(claim)
        if self.gone:
            raise LeaseLost(f"{claim.table}: the target was gone; the backfill begins anew")

    def _evolve(self, session: Session, drift: Drift) -> Evolved | None:
        """Names are got out of the way, and that is in the ledger, before other columns get them."""
        delivery, target = self._delivery, self._delivery.plan.target
        there = describe(session, target)
        if there is None:
            return None
        parting = drift.parting if self.known != drift.parted else ()
        foreseen = outlook(target, (*parting, *drift.actions), there)
        self._ask_first(foreseen.statements)
        if foreseen.incomplete is not None:
            self.read_all()
        parted = evolve(session, target, parting, there, delivery.notify)
        if parting and drift.parted is not None:
            delivery.ledger.checkpoints.remember_source(delivery.claim, drift.parted)
            self.known = drift.parted
            delivery.notify("evolved")
        done = evolve(session, target, drift.actions, notify=delivery.notify)
        found = [evolved for evolved in (parted, done) if evolved is not None]
        delivery.progress.events.extend(event for evolved in found for event in evolved.events)
        return Evolved(incomplete=next((e.incomplete for e in found if e.incomplete), None))

    def _ask_first(self, statements: Sequence[str]) -> None:
        """With `schema_changes: manual` nothing but `pgsnow apply` sends DDL."""
        if statements and self._manual:
            listed = "; ".join(statements)
            raise SchemaChangePending(f"{self._delivery.plan.config.name}: the target needs {listed}")

    def _suffices(self) -> bool:
        plan = self._delivery.plan
        return self._columns is not None and suffices(self._columns, plan.output, plan.own_columns)
