"""Slots that nothing reads any more: tables were paused, disabled or removed, or one run takes very long.

The tick that reads a slot gives it up before it fills the source's disk. This is for slots without such a tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress

import psycopg

from pgsnow.ledger.slots.store import SlotClaim, SlotRow
from pgsnow.model.duration import approximate_duration
from pgsnow.model.errors import PgsnowError
from pgsnow.model.log.slot import measurements
from pgsnow.postgres.replication.fingerprint import inspect_log
from pgsnow.postgres.replication.slot import drop_slot
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger


def look_after_slots(context: EngineContext, rows: Iterable[SlotRow], holder: str) -> None:
    """Measure these slots, for the status, and drop those that hold back more than they may. A slot that a worker
    reads is left alone. Never raises PgsnowError: the next hour tries again."""
    try:
        with closing(context.source.connect()) as conn:
            for row in rows:
                _look_after(context, conn, row, holder)
    except PgsnowError as error:
        logger().warning("slots are not looked after", error=str(error), advice=error.advice)


def _look_after(context: EngineContext, conn: psycopg.Connection, row: SlotRow, holder: str) -> None:
    known, slots, most = row.known, context.ledger.slots, context.config.max_retained_wal
    claim = slots.claim(known.name, known.publication, run_id="hourly", holder=holder)
    if not isinstance(claim, SlotClaim):
        return
    try:
        state = inspect_log(conn, known.name, known.publication, [])
        if state.slot is None or state.slot.plugin != "pgoutput" or state.slot.database != state.database:
            return
        figures = {**known.figures, **measurements(state, most)}
        if state.slot.active_pid is None and state.retained > state.most_retained(most):
            why = (
                f"it held back {state.retained >> 20} MB of write-ahead log, more than max_retained_wal"
                f" ({state.most_retained(most) >> 20} MB), and nothing read it for"
                f" {approximate_duration(row.unread_seconds)}"
            )
            drop_slot(conn, known.name)
            slots.forget(known.name, why, claim)
            logger().warning("slot dropped", slot=known.name, reason=why)
        elif known.trouble:
            slots.trouble(claim, known.trouble, figures)
        else:
            slots.advance(claim, known.confirmed, figures=figures, complete=False)
    finally:
        with suppress(PgsnowError):
            slots.release(claim)
