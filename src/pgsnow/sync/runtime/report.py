"""Builds the report of one table's run from its recorder. Pure except for the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import attrgetter

from pgsnow.ledger.claim import Refusal
from pgsnow.model.backfill import ChunkCounts
from pgsnow.model.errors import LeaseLost, PgsnowError, ShuttingDown
from pgsnow.model.report import Status, TableReport
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.sync.runtime.recorder import COUNTS, Recorder

_REFUSED = {
    "locked": (Status.LOCKED, "LeaseHeld"),
    "not due": (Status.NOT_DUE, "NotDue"),
    "paused": (Status.PAUSED, "Paused"),
    "backing off": (Status.BACKING_OFF, "BackingOff"),
}
"""Reason of a refusal → status and error_type of the report."""
_ADVICE = {
    Status.PAUSED: "`pgsnow resume {}` ends the pause.",
    Status.BACKING_OFF: "Once the cause is fixed, `pgsnow run --select {}` tries it at once.",
}


def table_report(
    recorder: Recorder,
    status: Status | None = None,
    error: BaseException | None = None,
    *,
    left: ChunkCounts | None = None,
    backfilled: bool = False,
) -> TableReport:
    """The report as of now. status: if it is not given and there was no error, it is derived from the counts.

    left: progress of a backfill whose remaining chunks other processes are loading, at which this run ended.
    backfilled: this run completed a backfill, whichever processes loaded its chunks.
    """
    if status is None and left is not None:
        return replace(
            table_report(recorder, Status.LOCKED),
            error=f"backfill under way: {left.done} of {left.chunks} chunks are loaded",
            error_type="BackfillUnderWay",
            chunks_left=left.left,
            chunks_waiting=left.waiting,
        )
    worked = recorder.rows_read or recorder.replaced or backfilled or recorder.load_units
    worked = worked or recorder.rows_deleted
    known = error if isinstance(error, PgsnowError) else None
    return TableReport(
        table=recorder.table,
        target=recorder.target,
        run_id=recorder.run_id,
        status=status or (Status.PARTIAL if recorder.rows_rejected else Status.OK if worked else Status.IDLE),
        started_at=recorder.started_at,
        seconds=round(recorder.clock.elapsed, 6),
        # Microseconds, rounded down, or their sum could exceed the run's seconds.
        phases={phase: math.floor(seconds * 1e6) / 1e6 for phase, seconds in recorder.phases.items()},
        **{name: getattr(recorder, name) for name in COUNTS},
        cells_changed=dict(recorder.cells_changed),
        query_ids=tuple(recorder.query_ids),
        statements=tuple(sorted(recorder.statements, key=attrgetter("started_at"))),
        statement_count=len(recorder.statements),
        warehouse_seconds=round(sum(sent.seconds for sent in recorder.statements if sent.warehouse), 6),
        full_read=recorder.full_read,
        events=(
            *recorder.events,
            *(_change_of(column, count) for column, count in sorted(recorder.cells_changed.items())),
        ),
        error=None if error is None else public_text(error),
        error_type=None if error is None else type(error).__name__,
        advice=None if error is None else (public_advice(error) or None),
        transient=bool(known and known.transient),
        last_watermark=recorder.last_watermark,
        without_log=recorder.without_log or None,
    )


def failure_report(recorder: Recorder, error: Exception) -> TableReport:
    """The report of a run that ended with this error."""
    status = Status.STOPPED if isinstance(error, ShuttingDown) else Status.ERROR
    return table_report(recorder, Status.LOCKED if isinstance(error, LeaseLost) else status, error)


def refused_report(recorder: Recorder, refusal: Refusal) -> TableReport:
    """The report of a table that was not claimed, with the reason."""
    status, error_type = _REFUSED[refusal.reason]
    holder = f" by {refusal.holder}" if refusal.holder else ""
    since = f" since {refusal.since:%Y-%m-%d %H:%M:%S %Z}" if refusal.since else ""
    until = f" until {refusal.until:%Y-%m-%d %H:%M:%S %Z}" if refusal.until else ""
    error = f": {refusal.error.removeprefix(f'{refusal.table}: ')}" if refusal.error else ""
    return replace(
        table_report(recorder, status),
        error=f"{refusal.reason}{holder}{since}{until}{error}",
        error_type=error_type,
        advice=_ADVICE[status].format(refusal.table) if status in _ADVICE else None,
        next_attempt=refusal.until,
    )


def _change_of(column: str, count: int) -> str:
    return f"changed {count} {'value' if count == 1 else 'values'} of {column}: the target cannot hold them"
