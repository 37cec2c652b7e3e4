"""The log in one tick: it is read once for all tables with `mode: log`, and confirmed when their changes are staged.

A table is read from the log if everything that committed before the log begins is in its target, or staged. If it is
not (a new table, a slot that was lost, an altered definition), it is read as without a log in this tick, and joins the
log afterwards. So the slot never waits for one table, and each way out of the ordinary ends in a read that is known to
lose nothing. docs/decisions/64-one-log-for-all-tables.md
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.errors import PgsnowError
from pgsnow.model.log.position import LogPosition
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint, next_checkpoint
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.postgres.incremental.streaming import audit_due, stream_probe
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.stream.slot_reader import LogRead, SlotReader


@dataclass(frozen=True, slots=True)
class TableLog:
    """One table's part of a read of the log. before: how far it was read before. found: None if another worker reads
    the log at present, so that this run leaves the table as it is. has_changes: there are changes that are not staged
    yet."""

    table: str
    oid: int
    before: LogPosition
    probe: Probe
    found: LogRead | None
    tick: LogTick
    has_changes: bool
    audits: bool = False
    """The changes that the log has delivered must be compared with the table in this run."""

    def blocks(self) -> Iterator[ChangeBlock]:
        """The changes that are not staged yet, in commit order. May be called again."""
        return iter(()) if self.found is None else self.found.reading.blocks(self.oid, after=self.before.lsn)

    def checkpoint(self, plan: TablePlan, before: Checkpoint | None, horizon: Horizon) -> Checkpoint:
        """The checkpoint after these changes. If the read ended before the noted end of the log, only the position in
        the log moves. Raises ValueError for a table without a checkpoint."""
        if before is None:
            raise ValueError(f"{plan.config.name} has no checkpoint")
        if self.found is None:
            return before
        position = replace(self.before, lsn=max(self.before.lsn, self.found.reading.end))
        if not self.found.reading.complete:
            return before.evolve(log=position)
        moved = next_checkpoint(before, horizon, self.probe.point, seen=before.seen)
        return moved.evolve(log=position)

    def staged(self) -> None:
        """The changes are durable, and the ledger says so."""
        self.tick.staged(self.table)


@dataclass(eq=False)
class LogTick:
    """See the module. reads: False if the tick reads tables as a whole, so that the log waits. Thread-safe after
    `read`; close it at the end of the tick."""

    context: EngineContext
    connections: Connections
    run_id: str
    reads: bool = True
    _reader: SlotReader | None = field(default=None, init=False)
    found: LogRead | None = field(default=None, init=False)
    """The read of the log; None: it could not be read."""
    _left: set[str] = field(default_factory=set, init=False)
    """Tables that are read otherwise in this tick, although they could be read from the log."""
    _waiting: set[str] = field(default_factory=set, init=False)
    """Tables whose changes are not staged yet."""
    ahead: set[str] = field(default_factory=set, init=False)
    """Tables whose targets may have later states than what was read from the log."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def read(self, claims: Sequence[Claim], horizon: Horizon) -> Horizon:
        """Read the log up to its present end. If that is impossible, no table is read from it in this tick, and the
        ledger says why. claims: of the tick. Returns the horizon, which after a failover has the server's history."""
        was = {claim.checkpoint.identity.timeline for claim in claims if claim.checkpoint is not None}
        if was - {0, horizon.identity.timeline}:
            from pgsnow.postgres.replication.timelines import forks_of  # rare

            with contextlib.suppress(PgsnowError):  # without it, everything is read
                now = horizon.identity.timeline
                horizon = replace(horizon, forks=forks_of(self.context.settings.source, now))
        if self.reads and claims:
            first = claims[0]
            self._reader = SlotReader(
                self.context, self.connections, self.run_id, first.holder, first.ledger, first.granted_at
            )
            needed = any(claim.checkpoint is not None and claim.checkpoint.log for claim in claims)
            self.found = self._reader.read(horizon, needed=needed)
        return horizon

    def part_of(
        self, claim: Claim, prepared: Prepared, horizon: Horizon, recorder: Recorder
    ) -> TableLog | None:
        """The table's part; None: it must be read otherwise in this tick, and `recorder` has the reason, if there is
        one already. Raises SlotBusy if something else reads the slot."""
        checkpoint, oid = claim.checkpoint, prepared.plan.source.oid
        if claim.table in self._left:
            return None
        if checkpoint is None or checkpoint.log is None:
            recorder.without_log = self._problem
            return None
        busy = self._reader.busy if self._reader is not None else None
        if isinstance(busy, PgsnowError):
            raise busy
        if busy is not None:
            recorder.events.append(f"the log is not read in this tick: {busy}")
            at = ReadPoint(ReadMode.XMIN, checkpoint.x, checkpoint.x)
            return TableLog(claim.table, oid, checkpoint.log, Probe(at, False, None), None, self, False)
        why, probe = self._why_not(claim, checkpoint.log, prepared), None
        if why is None and self.found is not None:
            probe = stream_probe(prepared.plan, checkpoint, horizon, self.found.point)
        if probe is None or self.found is None:
            recorder.without_log = why or "the server was restarted, or its history changed"
            recorder.events.append(f"read without the log: {recorder.without_log}")
            return None
        self._waiting.add(claim.table)
        if checkpoint.log.settled > self.found.reading.end:
            self.ahead.add(claim.table)
        has_changes = oid in self.found.reading.tables
        audits = audit_due(prepared.plan, checkpoint, horizon)
        return TableLog(claim.table, oid, checkpoint.log, probe, self.found, self, has_changes, audits)

    def _why_not(self, claim: Claim, position: LogPosition, prepared: Prepared) -> str | None:
        """Why the log cannot be continued for the table; None: nothing shows that."""
        found = self.found
        if found is None:
            return self._problem or "everything is read again"
        source = str(prepared.plan.config.source)
        reasons = {
            found.barred.get(source, ""): source in found.barred,
            "the replication slot was made again": position.generation != found.generation,
            "the log begins after what was loaded": position.lsn < found.reading.begin,
            "the table was altered": bool(prepared.drift.has_work or prepared.drift.full_read),
            "last_watermark was set by hand": claim.reset_to is not None,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    @property
    def _problem(self) -> str:
        """Why the log could not be read; '' if it was, or nothing tried to."""
        busy = "" if self._reader is None or self._reader.busy is None else str(self._reader.busy)
        return busy or (self._reader.problem if self._reader is not None else "")

    def can_join(self, source: str) -> bool:
        """True if this table (`schema.table`), read otherwise in this tick, can be read from the log afterwards."""
        return self._reader is not None and self._reader.can_join(source)

    @property
    def bars(self) -> bool:
        """True if no table can join the log in this tick, as it cannot be read."""
        return self._reader is not None and self._reader.bars

    def leave(self, table: str) -> None:
        """Read the table otherwise from now on, in this tick."""
        with self._lock:
            self._left.add(table)
            self._waiting.discard(table)

    def staged(self, *tables: str) -> None:
        """The changes of these tables are durable. After the last table, what was read is confirmed."""
        with self._lock:
            before = len(self._waiting)
            self._waiting.difference_update(tables)
            if before and not self._waiting and self._reader is not None:
                self._reader.confirm()

    def close(self) -> None:
        """Confirm what is durable, if that was not done yet, and end or keep the session. Idempotent. Never raises
        PgsnowError."""
        if self._reader is not None:
            self._reader.confirm()
            self._reader.close()
            self.found = None
