"""When the log is read, and when it is compared with the tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pgsnow.model.config.table_config import TableConfig
from pgsnow.model.log.slot import KnownSlot, LogState

PINNED = 64 << 20
"""Bytes of log before the confirmed position from which on a read is expensive."""
HELD = "held_at"
"""Figure of a slot: when changes were read that did not become durable, in seconds since 1970; None: they did."""
USEFUL = 10_000
"""Messages a second from which on a read took its time for what it read, and not for what it read again."""
READ_SHARE = 0.05
LONGEST_WAIT = 600.0
"""Seconds."""


def is_too_early(state: LogState, known: KnownSlot, now: float) -> bool:
    """While a transaction stays open for long, the server decodes the log from its begin on in each read; while
    changes cannot be staged, the same log is read again and again. Then it is read less often, so that this takes
    no more than a part of the time (READ_SHARE). now: seconds since 1970."""
    slot, before, held = state.slot, known.read_at, known.figures.get(HELD)
    seconds = known.figures.get("seconds")
    if slot is None or slot.restart is None or slot.confirmed is None or not isinstance(seconds, int | float):
        return False
    pause = min(seconds / READ_SHARE, LONGEST_WAIT)
    if isinstance(held, int | float) and 0 <= now - held < pause:
        return True
    messages = known.figures.get("messages")
    was_useful = isinstance(messages, int) and messages >= seconds * USEFUL
    if before is None or slot.confirmed - slot.restart < PINNED or was_useful:
        return False
    return 0 <= now - before.timestamp() < pause


def due_audits(tables: Iterable[TableConfig], known: KnownSlot, now: float) -> list[TableConfig]:
    """The tables for which the log is to be compared with their rows again."""
    audits, made = known.figures.get("audits") or {}, known.created_at
    first = made.timestamp() if made is not None else now
    return [t for t in tables if t.log_audit_every and now - audits.get(t.name, first) > t.log_audit_every]
