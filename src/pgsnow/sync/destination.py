"""One run's end in Snowflake: connected when the first row is there, tried again where that is safe, swept after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

from pgsnow.ledger.store import Checkpoints, Claim
from pgsnow.model.batch import LoadResult, LoadUnit
from pgsnow.model.config import LoadMethod
from pgsnow.model.drift import Drift, KnownSource
from pgsnow.model.errors import LeaseLost, PgsnowError, SchemaChangePending, TargetMissing, TargetQueryFailed
from pgsnow.model.plan import TablePlan
from pgsnow.model.schema_options import SchemaChanges
from pgsnow.model.settings import SnowflakeSettings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.beside import beside_of, make_beside, put_in_place
from pgsnow.snowflake.connection import Session, connect
from pgsnow.snowflake.evolve import Evolved, evolve, outlook
from pgsnow.snowflake.foresee import Foresight
from pgsnow.snowflake.limits import Limit, limits_of
from pgsnow.snowflake.load import Method, choose_method, load, prune, sweep
from pgsnow.snowflake.replace import Content, append, begin, gather, replace
from pgsnow.snowflake.schema import created, describe, ensure_target, suffices
from pgsnow.snowflake.staging import Staging
from pgsnow.snowflake.stagings import Stagings
from pgsnow.snowflake.straight import Try, delete_attempts, is_without_older, keep_one_a_key, load_straight
from pgsnow.sync.progress import Progress
from pgsnow.sync.retry import with_retries
from pgsnow.sync.straight import Straight
from pgsnow.sync.units import batch_name

T = TypeVar("T")


class Destination:
    """Loads the units of one run. Opens no connection before it is given one, or leftovers to sweep."""

    def __init__(
        self,
        settings: SnowflakeSettings,
        plan: TablePlan,
        ledger: Checkpoints,
        claim: Claim,
        progress: Progress,
        stop: threading.Event,
        stagings: Stagings,
        *,
        applying: bool = False,
        session: Session | None = None,
    ) -> None:
        """applying: a person has seen what is sent. session: one that another destination has handed on."""
        self._settings = settings
        self._plan = plan
        self._ledger = ledger
        self._claim = claim
        self._progress = progress
        self._stop = stop
        self._stagings = stagings
        self._manual = plan.config.schema_changes is SchemaChanges.MANUAL and not applying
        self._session = session
        self._content = Content(plan, batch_name(plan, claim.fence, 0), claim.fence, claim.run_id)
        self._rows = 0
        self.made_target = False
        """True once this run had to create the target."""
        self.target_gone = False
        """True once a chunk found no target to be loaded into: it makes none, and the backfill is over."""
        self.from_nothing = False
        """True once the ledger has no checkpoint any more, whatever the claim says of one."""
        self.known = claim.known
        """What the ledger remembers of the source."""
        self._columns = claim.target_columns
        self._open: list[str] = list(claim.open_batches)
        self._left = frozenset(claim.open_batches)
        self._straight: Straight | None = None
        self._kept: str | None = None
        self._beside: str | None = None

    def evolve(self, drift: Drift) -> Evolved | None:
        """Make the target's columns fit for the source as it is now; None if there is no target. Opens no connection
        where nothing is to be done. Raises SchemaChangePending."""
        if not drift.alters:
            return Evolved()
        self.look_again()
        return with_retries(lambda: self._on_session(lambda s: self._evolve(s, drift)), self._stop)

    def to_remember(self, drift: Drift) -> KnownSource | None:
        """What the ledger should know of the source from now on; None: what it knows already."""
        return drift.to_remember(self.known, self._columns)

    def load(self, unit: LoadUnit) -> None:
        """Stage and merge one unit. Idempotent: a unit tried again, here or by a later run, changes nothing more.

        The batch is in the ledger before anything of it is in Snowflake. The unit before is swept first, so that a
        long read does not pile up staging.
        """
        self.sweep()
        self._ledger.open_batch(self._claim, unit.batch)
        self._open.append(unit.batch)
        result = self._load_straight(unit) or with_retries(lambda: self._attempt(unit), self._stop)
        if self._straight is not None:
            self._straight.loaded(unit, result)
        self._progress.loaded(unit, result)

    def go_straight(self, *, not_after: int | None = None, earlier: Sequence[int] = ()) -> None:
        """From here on units are rows of a full read, no two of one key in one snapshot: they need no MERGE while the
        target has no row that was written under the fence `not_after` or before it (None: no row at all).

        earlier: the fences of attempts at the same rows; what they have left in the target is deleted first. Ends
        with `settle`.
        """
        self._straight = Straight(self._plan, self._into, not_after, earlier)

    def settle(self, *, not_after: int | None = None, given_up: Sequence[int] = ()) -> None:
        """All units of a full read are there: each key once, and nothing of the attempts `given_up`. Idempotent.
        To be followed by what has changed since the read began: docs/decisions/23-straight-into-the-empty-target.md"""
        was, self._straight = self._straight, None
        if not_after is None and (was is None or not was.batches):
            return
        events = with_retries(
            lambda: self._on_session(lambda s: self._settle(s, not_after, given_up)), self._stop
        )
        self._progress.events.extend(events)

    def gather_beside(self, fence: int, *, make: bool = False) -> None:
        """From here on units go into a table beside the target, that of the backfill with this fence. make: which has
        none yet; the ledger knows of it before it is there. Ends with `put_in_place`."""
        batch = batch_name(self._plan, fence, 0)
        self._beside = self._kept = batch
        if make:
            self._ledger.open_batch(self._claim, batch)
            self._open.append(batch)
            with_retries(lambda: self._on_session(lambda s: make_beside(s, self._content, batch)), self._stop)

    def keep_beside(self, fence: int | None) -> None:
        """The table beside the target, of the backfill with this fence, is not to be swept; None: whichever it is."""
        self._kept = None if fence is None else batch_name(self._plan, fence, 0)

    def put_in_place(self, given_up: Sequence[int]) -> None:
        """The target holds what was gathered beside it, and no other row, all at once; nothing of the attempts
        `given_up`. Idempotent until the table beside is swept, which it may be from the next checkpoint on. Raises
        LeaseLost before anything is changed if the table is another run's by now."""
        batch, self._beside, self._straight = self._beside or "", None, None
        self._ledger.open_batch(self._claim, batch)
        try:
            result = with_retries(
                lambda: self._on_session(
                    lambda s: put_in_place(s, self._content, batch, given_up, self._notify)
                ),
                self._stop,
            )
        except TargetMissing:
            self._read_all()
            raise
        self._progress.applied(LoadResult(query_ids=result.query_ids, seconds=result.seconds))
        self._progress.replaced = True
        self._progress.events.append(f"replaced the content of {self._plan.target}: {result.inserted} rows")

    def gather(self, unit: LoadUnit) -> None:
        """Stage one unit of a content that `replace` or `append` will put in place. Idempotent, in order of reading.

        The files of the units before are swept, but for the first, whose staging table holds the content."""
        self.sweep(but=self._content.batch)
        self._ledger.open_batch(self._claim, unit.batch)
        self._open.append(unit.batch)
        tries = count()
        result = with_retries(
            lambda: self._on_session(lambda s: self._gather(s, unit, again=next(tries) > 0)), self._stop
        )
        self._rows += unit.rows
        self._progress.loaded(unit, result)

    def replace(self, *, relaxed: bool = False) -> None:
        """The target holds what was gathered (nothing, if nothing was), and no other row, all at once.

        relaxed: columns that are not of the key may be NULL from now on. Idempotent. Raises LeaseLost before anything
        is changed if the table is another run's by now.
        """
        self._ledger.open_batch(self._claim, self._content.batch)
        if self._content.batch not in self._open:
            self._open.append(self._content.batch)
        result = with_retries(lambda: self._on_session(lambda s: self._replace(s, relaxed)), self._stop)
        self._progress.applied(result)
        self._progress.replaced = True
        self._progress.events.append(f"replaced the content of {self._plan.target}: {result.inserted} rows")

    def append(self) -> None:
        """Rows that were gathered and that the target does not have are added. Idempotent."""
        if self._rows == 0:
            self.ensure()
            return
        result = with_retries(
            lambda: self._on_session(lambda s: append(s, self._content, self._notify)), self._stop
        )
        self._progress.applied(result)

    def look_again(self) -> None:
        """What is known of the target may not be so any more."""
        self._columns = None
        self._ledger.remember_target(self._claim, None)

    def take_over(self, batches: Sequence[str]) -> None:
        """Sweep these too, when it is time, wherever others have put them."""
        new = [batch for batch in batches if batch not in self._open]
        self._open.extend(new)
        self._left |= frozenset(new)

    def begin_batch(self, batch: str) -> None:
        """The ledger knows of it before anything of it is anywhere."""
        self._ledger.open_batch(self._claim, batch)
        self._open.append(batch)

    def keep_batches(self, batches: Sequence[str]) -> None:
        """They are not to be swept: the ledger says that they wait to be loaded."""
        self._open[:] = [batch for batch in self._open if batch not in batches]

    def on_session(self, action: Callable[[Session], T]) -> T:
        """The action, tried again where that is safe. It must bear being done twice."""
        return with_retries(lambda: self._on_session(action), self._stop)

    def on_session_anew(self, action: Callable[[Session], T]) -> T:
        """The same; once more after a look at the target, if Snowflake refuses it: its stage may be gone."""
        try:
            return self.on_session(action)
        except TargetQueryFailed:
            self.ensure_anew()
            return self.on_session(action)

    def retried(self, action: Callable[[], T]) -> T:
        """The same for what needs no session."""
        return with_retries(action, self._stop)

    def ensure_anew(self) -> None:
        """At the target, which is made fit or made anew; see `made_target`."""
        self._columns = None
        self.ensure()

    def sweep(self, *, but: str | None = None) -> None:
        """Remove the staging of every batch known to be open, of this run and of earlier ones."""
        swept = [batch for batch in self._open if batch not in (but, self._kept)]
        if not swept:
            return
        with self._progress.timed("sweep"):
            with_retries(lambda: self._on_session(lambda s: self._sweep(s, swept)), self._stop)
            self._ledger.close_batches(self._claim, swept)
        self._open[:] = [batch for batch in self._open if batch not in swept]
        self._progress.tell("swept")

    def prune(self, fence: int) -> int:
        """After a full read: delete the target's rows that no run from this fence on has written. Returns how many."""
        return with_retries(
            lambda: self._on_session(lambda s: prune(s, self._plan.target, fence)), self._stop
        )

    def ensure(self, *, relaxed: bool = False) -> None:
        """Create the target now, for a table that has no row to load. relaxed: as in `replace`."""
        with_retries(lambda: self._on_session(lambda s: self._ensure(s, relaxed=relaxed)), self._stop)

    def limits(self) -> tuple[Limit, ...]:
        """What the target's columns take less of than Snowflake would; looks at the target if nobody has."""
        if self._columns is None:
            self.ensure()
        return limits_of(self._columns or {}, self._plan.output)

    def handed_on(self) -> Session | None:
        """The open session, if there is one: the caller's from now on."""
        session, self._session = self._session, None
        return session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _sweep(self, session: Session, batches: Sequence[str]) -> None:
        """An earlier run may have had another configuration, and its files in another place."""
        for batch in batches:
            stagings = self._stagings.all if batch in self._left else (self._staging,)
            beside = self._straight is None or batch not in self._straight.batches
            sweep(session, self._plan.target, [batch], stagings, tables=beside)

    def _evolve(self, session: Session, drift: Drift) -> Evolved | None:
        """Names are got out of the way, and that is in the ledger, before other columns get them."""
        target = self._plan.target
        there = describe(session, target)
        if there is None:
            return None
        parting = drift.parting if self.known != drift.parted else ()
        foreseen = outlook(target, (*parting, *drift.actions), there)
        self._ask_first(foreseen.statements)
        if foreseen.incomplete is not None:
            self._read_all()
        parted = evolve(session, target, parting, there, self._notify)
        if parting and drift.parted is not None:
            self._ledger.remember_source(self._claim, drift.parted)
            self.known = drift.parted
            self._notify("evolved")
        done = evolve(session, target, drift.actions, notify=self._notify)
        found = [evolved for evolved in (parted, done) if evolved is not None]
        self._progress.events.extend(event for evolved in found for event in evolved.events)
        return Evolved(incomplete=next((e.incomplete for e in found if e.incomplete), None))

    def _ask_first(self, statements: Sequence[str]) -> None:
        """With `schema_changes: manual` nothing but `pgsnow apply` sends DDL."""
        if statements and self._manual:
            listed = "; ".join(statements)
            raise SchemaChangePending(f"{self._plan.config.name}: the target needs {listed}")

    def _load_straight(self, unit: LoadUnit) -> LoadResult | None:
        """None: the unit is to be merged."""
        straight, origin = self._straight, self._staging.origin(self._plan.target, unit.batch)
        if straight is None or not straight.possible or origin is None or self._method(unit) != "stage":
            return None
        tries = count()
        try:
            return with_retries(
                lambda: self._on_session(
                    lambda s: self._try_straight(s, straight, unit, origin, again=next(tries) > 0)
                ),
                self._stop,
            )
        except TargetQueryFailed as refused:
            # A refused statement has done nothing. What COPY does not take, MERGE may, and it looks at the target anew.
            self._progress.events.append(f"{unit.batch} is merged: {refused}")
            straight.give_up()
            straight.batches.discard(unit.batch)
            return None

    def _try_straight(
        self, session: Session, straight: Straight, unit: LoadUnit, origin: str, *, again: bool
    ) -> LoadResult | None:
        if self._beside is None:
            self._ensure(session)
        if not straight.decide(session):
            return None
        straight.batches.add(unit.batch)
        return load_straight(
            session,
            self._plan,
            straight.into,
            unit,
            Try(again, straight.before),
            audited=self._content.audited,
            staging=self._staging,
            origin=origin,
            holds=lambda: self._ledger.open_batch(self._claim, unit.batch),
            notify=self._notify,
        )

    def _settle(self, session: Session, not_after: int | None, given_up: Sequence[int]) -> list[str]:
        plan, events = self._plan, []
        if not_after is not None and not is_without_older(session, plan.target, not_after):
            return []
        if gone := delete_attempts(session, plan.target, given_up):
            events.append(f"deleted {gone} rows that attempts which were given up had left")
        if gone := keep_one_a_key(session, plan):
            events.append(f"removed {gone} rows that had moved while they were read, and were there twice")
        return events

    def _attempt(self, unit: LoadUnit) -> LoadResult:
        try:
            return self._on_session(lambda session: self._load(session, unit))
        except TargetQueryFailed as refused:
            if self._beside is not None and isinstance(refused, TargetMissing):
                self._read_all()
            if self._columns is None or self._beside is not None:
                raise
            # What the cache says of the target may be out of date (dropped, altered by hand): look, then try once more.
            self._columns = None
            return self._on_session(lambda session: self._load(session, unit))

    def _gather(self, session: Session, unit: LoadUnit, *, again: bool) -> LoadResult:
        self._ensure(session)
        method = self._method(unit)
        return gather(
            session,
            self._content,
            unit,
            method=method,
            again=again,
            notify=self._notify,
            staging=self._staging,
        )

    def _replace(self, session: Session, relaxed: bool) -> LoadResult:
        self._columns = None  # what the target's own columns are must be known for certain
        self._ensure(session, relaxed=relaxed)
        if self._rows == 0:
            begin(session, self._content)
        return replace(session, self._content, self._rows, self._notify)

    def _load(self, session: Session, unit: LoadUnit) -> LoadResult:
        if self._beside is None:
            self._ensure(session)
        plan = self._plan
        return load(
            session,
            plan.target,
            plan.output,
            plan.key,
            unit,
            method=self._method(unit),
            notify=self._notify,
            audited=self._content.audited,
            staging=self._staging,
            into=self._into,
        )

    @property
    def _into(self) -> TargetName:
        """Where units go."""
        return beside_of(self._plan.target, self._beside) if self._beside else self._plan.target

    @property
    def _staging(self) -> Staging:
        return self._stagings.serving(self._plan.config.load)

    def _method(self, unit: LoadUnit) -> Method:
        method = self._plan.config.load
        if method is LoadMethod.AUTO:
            return choose_method(unit.rows, unit.size)
        return "insert" if method is LoadMethod.INSERT else "stage"

    def _ensure(self, session: Session, *, relaxed: bool = False) -> None:
        plan = self._plan
        if self._manual and (relaxed or not self._suffices()):
            self._ask_first(Foresight(session).target(plan, relaxed=relaxed).statements)
        columns, events = ensure_target(
            session,
            plan.target,
            plan.output,
            plan.target_key,
            self._columns,
            plan.own_columns,
            relaxed=relaxed,
            creating=self._read_all,
        )
        self._progress.events.extend(events)
        if created(self._plan.target) in events:
            self.made_target = self.from_nothing = True
        if columns != self._columns:
            self._ledger.remember_target(self._claim, columns)
            self._columns = columns

    def _read_all(self) -> None:
        """What was loaded went with a target that somebody dropped, or is not where it should be. The ledger knows
        before the target looks as if nothing were missing, or a run that is killed here would leave it so."""
        if self._claim.chunk is not None:
            self.target_gone = True
            self.look_again()
        self._ledger.forget(self._claim)
        if self.target_gone:
            raise LeaseLost(f"{self._claim.table}: the target was gone; the backfill begins anew")

    def _suffices(self) -> bool:
        return self._columns is not None and suffices(
            self._columns, self._plan.output, self._plan.own_columns
        )

    def _notify(self, phase: str) -> None:
        self._progress.tell(phase)

    def _on_session(self, action: Callable[[Session], T]) -> T:
        if self._session is None:
            with self._progress.timed("connect"):
                self._session = connect(
                    self._settings, query_tag=f"pgsnow:{self._claim.table}:{self._claim.run_id}"
                )
        try:
            return action(self._session)
        except PgsnowError:
            # A session that has failed may hold a transaction or a broken socket; the next try gets a new one.
            self.close()
            raise
