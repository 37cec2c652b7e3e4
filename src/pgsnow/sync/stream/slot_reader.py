"""Reads the slot up to the present end of the log, and confirms how far its changes are durable."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pgsnow.ledger.slots.store import SlotClaim, SlotRefusal
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.options import LogReader
from pgsnow.model.errors import (
    LeaseLost,
    LogGap,
    LogSessionUnavailable,
    PgsnowError,
    ShuttingDown,
    SlotBusy,
    SlotNotMade,
)
from pgsnow.model.log.sharing import MOST_NAMES, TABLES, shared_with
from pgsnow.model.log.slot import (
    KnownSlot,
    LogState,
    SlotAction,
    SlotVerdict,
    measurements,
    slot_verdict,
    unpublished,
)
from pgsnow.postgres.incremental.streaming import LogPoint, running_xids, still_invisible, take_log_point
from pgsnow.postgres.replication.connection import LogSource
from pgsnow.postgres.replication.fingerprint import inspect_log
from pgsnow.postgres.replication.peek import LogPeek
from pgsnow.postgres.replication.reading import LogBudget, LogReading
from pgsnow.postgres.replication.session import LogSession, open_session
from pgsnow.postgres.replication.slot import CREATE_SECONDS, create_slot, drop_slot, oldest_transaction
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.stream.schedule import HELD, PINNED, READ_SHARE, due_audits, is_too_early

MEGABYTE = 1 << 20
ENDING_SECONDS = 5.0
"""How long a tick waits for a session that holds the slot."""
RENEW_SECONDS = 60.0
"""How often a long read renews the claim of the slot."""
SHORT_SECONDS = 1.0
"""How long a tick waits for open transactions, if one of the ticks before has waited for others in vain."""
BLOCKER = "blocker"
"""Figure of a slot: id of the transaction because of which it could not be made, as text."""
BLOCKED = "blocked_at"
"""Figure of a slot: when a tick waited for open transactions for the last time, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class LogRead:
    """The result of one read. point: taken before the end that was read to. barred: by `schema.table`, why the log may
    lack changes of it. unsettled: transactions that the log has shown as committed, and snapshots did not yet."""

    generation: int
    reading: LogReading
    point: LogPoint
    barred: Mapping[str, str]
    unsettled: frozenset[int] = frozenset()


@dataclass(eq=False)
class SlotReader:
    """One slot in one tick: call `read` once, then `confirm`, then `close`. Not thread-safe."""

    context: EngineContext
    connections: Connections
    run_id: str
    holder: str
    ledger_id: str
    now: float
    """Seconds since 1970, by the ledger's clock."""
    busy: str | PgsnowError | None = None
    """Why the tables wait for a later tick: a worker of this ledger reads the slot at present, or each read costs
    much; or the error, if something else reads the slot."""
    problem: str = field(default="", init=False)
    """Why the log could not be read; '' if it was."""
    _is_usable: bool = field(default=False, init=False)
    """There is a slot that tables can join."""
    _open: ExitStack = field(default_factory=ExitStack, init=False)
    _claim: SlotClaim | None = field(default=None, init=False)
    _state: LogState | None = field(default=None, init=False)
    _session: LogSession | LogPeek | None = field(default=None, init=False)
    _found: LogRead | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)
    _renewed: float = field(default_factory=time.monotonic, init=False)
    _timeline: int | None = field(default=None, init=False)
    _oldest: str = field(default="", init=False)
    _audits: Mapping[str, object] = field(default_factory=dict, init=False)
    _blocked: Mapping[str, object] = field(default_factory=dict, init=False)

    def read(self, horizon: Horizon, *, needed: bool = True) -> LogRead | None:
        """Read the log to its present end. None: no table can be read from it in this tick; the ledger says why. Raises
        what the ledger raises, and ShuttingDown. needed: False if no table is read from the log yet: then it is read
        only if the slot holds back much, as while a first load lasts, or if it could not be read before."""
        slot, publication = self.context.config.log_names(self.ledger_id)
        claim = self.context.ledger.slots.claim(slot, publication, run_id=self.run_id, holder=self.holder)
        if isinstance(claim, SlotRefusal):
            self.busy = f"{claim.holder or 'another worker'} reads it"
            return None
        self._claim = claim
        try:
            conn = self._open.enter_context(self.connections.one())
            self._found = self._read(conn, claim, horizon, needed)
        except ShuttingDown:
            raise
        except SlotBusy as busy:
            self.busy = busy
        except LogGap as gap:
            self._trouble(claim, str(gap))
            self._make_again(conn, claim, horizon, str(gap), drop=True)
        except PgsnowError as error:
            self._is_usable = False
            self._trouble(claim, f"{error}. {error.advice}" if error.advice else str(error))
        return self._found

    @property
    def bars(self) -> bool:
        """True if no table can join the log in this tick, as it cannot be read."""
        return bool(self.problem) and not self._is_usable

    def can_join(self, source: str) -> bool:
        """True if this table (`schema.table`), read otherwise in this tick, can be read from the log afterwards."""
        return self._is_usable and self._state is not None and source not in unpublished(self._state)

    def confirm(self) -> None:
        """Let the server remove log whose changes are durable for all tables. Idempotent. Never raises PgsnowError: the
        next tick confirms more."""
        found, claim, session = self._found, self._claim, self._session
        if found is None or claim is None or session is None or self._state is None:
            return
        slots, names = self.context.ledger.slots, [t.name for t in self.context.config.logged]
        try:
            durable = self.context.ledger.log_positions.durable(
                claim, found.generation, found.reading.end, names
            )
            if durable > claim.known.confirmed or claim.known.trouble:
                slots.advance(
                    claim,
                    durable,
                    fingerprint=self._state.fingerprint,
                    figures=self._figures(found.reading),
                    complete=found.reading.complete,
                    timeline=self._timeline,
                )
            elif found.reading.tables:
                figures = {"seconds": round(self._seconds, 3), HELD: self.now, **self._measured()}
                slots.advance(claim, durable, figures=figures, complete=False)
            session.confirm(durable)
            if durable >= found.reading.end:
                self._found = None  # nothing is left to confirm
        except LeaseLost:
            return
        except PgsnowError as error:
            logger(run_id=self.run_id).warning("slot not confirmed", error=str(error), advice=error.advice)

    def close(self) -> None:
        """End the session, and release the slot for other workers. Idempotent. Never raises PgsnowError."""
        with contextlib.suppress(PgsnowError):
            self._open.close()
        if self._claim is not None:
            with contextlib.suppress(PgsnowError):
                self.context.ledger.slots.release(self._claim)
            self._claim = None
        self._found = self._session = None

    def _read(
        self, conn: psycopg.Connection, claim: SlotClaim, horizon: Horizon, needed: bool
    ) -> LogRead | None:
        config, known = self.context.config, claim.known
        idle = None if known.read_at is None else self.now - known.read_at.timestamp()
        if (refused := shared_with(known, {t.name for t in config.tables}, idle)) is not None:
            self.problem = (
                f"{refused.why}. {refused.advice}"  # not in the ledger: the other one is not in trouble
            )
            logger(run_id=self.run_id).warning("the log is not read", reason=self.problem)
            return None
        # Before the state: if a table is altered after it, which the next tick notices, that one reads from this point.
        point = take_log_point(conn)
        state, verdict = self._inspect(conn, known, horizon)
        self._state, self._timeline = state, horizon.identity.timeline
        if state.retained > state.most_retained(config.max_retained_wal) // 4:
            self._oldest = str(oldest_transaction(conn) or "")
        if verdict.action is not SlotAction.READ:
            self._follow(conn, claim, horizon, verdict)
            return None
        self._is_usable = True
        self._forget(verdict)
        if not needed and not known.trouble and state.retained < PINNED:
            self._remember_publication(claim, state)
            return None
        if is_too_early(state, known, self.now):
            self.busy = (
                "the last read was expensive, because a transaction is open or changes could not be staged"
            )
            return None
        reach = None
        if state.standby_slots and state.slot is not None and state.slot.failover:
            from pgsnow.sync.stream.standbys import wait_for_standbys  # where standbys are synchronized

            reach = wait_for_standbys(conn, state.standby_slots, point.lsn, self.context.stop.wait)
        folder = self._open.enter_context(Spool(self.run_id)).batch_folder()
        session = self._session = self._open_session(
            conn, LogSource(self.context.settings.source, known.name, known.publication), folder
        )
        self._open.callback(session.close)
        began = time.monotonic()
        reading = session.read(point.lsn, LogBudget(reach=reach))
        self._seconds = time.monotonic() - began
        self._open.callback(reading.close)
        unsettled = still_invisible(conn, reading.committed | known.unsettled)
        if unsettled != known.unsettled:
            self.context.ledger.slots.advance(claim, known.confirmed, unsettled=unsettled, complete=False)
        barred = {**verdict.doubtful, **verdict.unpublished}
        if due := due_audits(config.logged, known, self.now):
            from pgsnow.sync.stream.log_audit import audit  # once a day

            oids = {
                t.name: (t.source, state.tables[str(t.source)].oid)
                for t in due
                if str(t.source) in state.tables
            }
            self._audits, lacking = audit(conn, known.figures, oids, reading, point, self.now)
            barred = lacking | barred
        return LogRead(known.generation, reading, point, barred, unsettled)

    def _inspect(
        self, conn: psycopg.Connection, known: KnownSlot, horizon: Horizon
    ) -> tuple[LogState, SlotVerdict]:
        """The state of the log, and what is done about it. The session of a worker that has just closed it, or was
        killed, may hold the slot for a moment."""
        config, deadline = self.context.config, time.monotonic() + ENDING_SECONDS
        while True:
            state = inspect_log(conn, known.name, known.publication, [t.source for t in config.logged])
            verdict = slot_verdict(
                state,
                known,
                system=horizon.identity.system_identifier,
                timeline=horizon.identity.timeline,
                most_retained=config.max_retained_wal,
                ours=config.log_slot is None,
                forks=horizon.forks,
            )
            if verdict.action is not SlotAction.WAIT or time.monotonic() >= deadline:
                return state, verdict
            self.context.stop.wait(0.1)

    def _open_session(
        self, conn: psycopg.Connection, source: LogSource, folder: Path
    ) -> LogSession | LogPeek:
        """By `log_reader`: a session of its own where that is possible, else SQL functions."""
        config, limit = self.context.config, self.context.config.max_log_spool_mb * MEGABYTE
        if config.log_reader is not LogReader.PEEK:
            try:
                return open_session(source, conn, folder=folder, spool_limit=limit, check=self._check)
            except LogSessionUnavailable as refused:
                if config.log_reader is LogReader.SESSION:
                    raise
                logger(run_id=self.run_id).info("log read with SQL", reason=str(refused))
        return LogPeek(source, conn, folder=folder, spool_limit=limit, check=self._check)

    def _check(self) -> None:
        """During a long read: end it if the engine is asked to stop, and keep the claim of the slot."""
        if self.context.stop.is_set():
            raise ShuttingDown("stopped while the log was read")
        if self._claim is not None and time.monotonic() - self._renewed >= RENEW_SECONDS:
            self._renewed = time.monotonic()
            self.context.ledger.slots.renew(self._claim)

    def _follow(
        self, conn: psycopg.Connection, claim: SlotClaim, horizon: Horizon, verdict: SlotVerdict
    ) -> None:
        """Carry out a verdict after which the log is not read in this tick."""
        if verdict.action is SlotAction.WAIT:
            self.busy = SlotBusy(verdict.why)
        elif verdict.action is SlotAction.CREATE:
            self._make_again(conn, claim, horizon, verdict.why, drop=verdict.drop)
        else:
            self._trouble(claim, f"{verdict.why}. {verdict.advice}")

    def _make_again(
        self, conn: psycopg.Connection, claim: SlotClaim, horizon: Horizon, why: str, *, drop: bool
    ) -> None:
        """Make the slot, as a new generation: every table is read otherwise first, and joins it then."""
        slots, self.problem = self.context.ledger.slots, why
        try:
            slots.begin(claim)
            if drop:
                drop_slot(conn, claim.slot)
            begin = self._create(conn, claim)
            slots.new_generation(
                claim,
                begin,
                why=why,
                unsettled=running_xids(conn),
                system=horizon.identity.system_identifier,
                timeline=horizon.identity.timeline,
                database=horizon.position.database if horizon.position else 0,
                fingerprint=self._state.fingerprint if self._state else None,
            )
            self._is_usable = True
        except PgsnowError as error:
            self.problem = f"{error} (a new one is needed: {why})" if claim.known.generation else str(error)
            self._trouble(claim, self.problem)

    def _create(self, conn: psycopg.Connection, claim: SlotClaim) -> int:
        """Make the slot. Each tick waits for open transactions, but not again for the same one, and less long for
        others if it has just waited in vain. Raises what `create_slot` raises."""
        figures = claim.known.figures
        before = figures.get(BLOCKED)
        recent = isinstance(before, int | float) and 0 <= self.now - before < CREATE_SECONDS / READ_SHARE
        seconds = SHORT_SECONDS if recent else CREATE_SECONDS
        try:
            return create_slot(conn, claim.slot, seconds=seconds, blocker=figures.get(BLOCKER))
        except SlotNotMade as error:
            self._blocked = {BLOCKER: error.blocker, BLOCKED: before if recent else self.now}
            raise

    def _forget(self, verdict: SlotVerdict) -> None:
        """The tables whose changes may be missing in the log lose their position in it, before that is forgotten."""
        doubtful = {t.name for t in self.context.config.logged if str(t.source) in verdict.doubtful}
        if doubtful:
            self.context.ledger.log_positions.forget(sorted(doubtful))

    def _remember_publication(self, claim: SlotClaim, state: LogState) -> None:
        """Store the publication as it is before tables join the log, so that only later changes of it make them
        doubtful. Tables that earlier ones make doubtful have lost their position."""
        if state.fingerprint != claim.known.fingerprint:
            self.context.ledger.slots.advance(
                claim, claim.known.confirmed, fingerprint=state.fingerprint, complete=False
            )

    def _trouble(self, claim: SlotClaim, why: str) -> None:
        self.problem = self.problem or why
        logger(run_id=self.run_id).warning("the log is not read", reason=why)
        with contextlib.suppress(PgsnowError):
            self.context.ledger.slots.trouble(claim, why, self._measured())

    def _figures(self, reading: LogReading) -> dict[str, object]:
        newest = reading.newest_commit
        return {
            "messages": reading.messages,
            "bytes": reading.size,
            "spilled": reading.spilled,
            "seconds": round(self._seconds, 3),
            "newest_commit": newest.isoformat() if newest else None,
            HELD: None,
            **self._measured(),
            **self._audits,
        }

    def _measured(self) -> dict[str, object]:
        if self._state is None:
            return dict(self._blocked)
        names = [table.name for table in self.context.config.logged[:MOST_NAMES]]
        measured = measurements(self._state, self.context.config.max_retained_wal)
        return {**measured, **self._blocked, "oldest": self._oldest, TABLES: names}
