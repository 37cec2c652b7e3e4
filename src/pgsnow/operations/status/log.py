"""Reading from the log in the status: what the ticks have measured of the slot, from the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgsnow.ledger.errors import unless_missing
from pgsnow.model.duration import approximate_duration

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.ledger.slots.store import SlotRow
    from pgsnow.model.config.sync_config import SyncConfig

PATIENCE = 3
"""Intervals for which the log may be unreadable without an alert: a worker that was killed may keep the slot so long.
"""

_LEFT = "no table has mode: log any more, and the slot still holds back the source's log: pgsnow log drop"


@dataclass(frozen=True, slots=True)
class LogHealth:
    """The slot as the newest tick saw it. Sizes are bytes; None: no tick has measured it.

    generation, made_at, why: of the present slot; 0: none was made yet. trouble: why the log is not read, known since
    trouble_since; "" if it is read. retained: log that the slot holds back, at most `limit`. safe: what may still be
    written until the server gives it up. spilled: written to the source's disk by decoding. newest_commit: time of the
    newest transaction that was read, by the source's clock. oldest: the transaction that holds back the log, if there
    is much of it. kept_batches, kept: that wait in `log_spool_dir`, as Snowflake could not be reached, and their bytes.
    """

    slot: str
    publication: str
    generation: int
    made_at: datetime | None
    why: str
    trouble: str = ""
    trouble_since: datetime | None = None
    read_at: datetime | None = None
    retained: int | None = None
    limit: int | None = None
    safe: int | None = None
    wal_status: str | None = None
    spilled: int | None = None
    confirmed: int = 0
    newest_commit: datetime | None = None
    oldest: str = ""
    kept_batches: int = 0
    kept: int = 0

    @property
    def is_filling(self) -> bool:
        """The slot holds back more than half of what it may."""
        return self.retained is not None and self.limit is not None and self.retained > self.limit // 2

    @property
    def sentence(self) -> str:
        """The trouble, in one line; "": there is none."""
        if self.trouble:
            return f"the log is not read: {self.trouble}"
        if self.is_filling and self.retained is not None and self.limit is not None:
            by = f"; the oldest open transaction is {self.oldest}" if self.oldest else ""
            most = f"{self.limit >> 20:,} MB"
            return f"slot {self.slot} holds back {self.retained >> 20:,} MB of log, of at most {most}{by}"
        if self.kept_batches:
            batches = f"{self.kept_batches:,} batch{'es' * (self.kept_batches != 1)}"
            return f"{batches} ({self.kept:,} bytes) wait in log_spool_dir until Snowflake can be reached"
        return ""

    def is_news(self, now: datetime, interval: float) -> bool:
        """True if a person should be told."""
        since = self.trouble_since
        lasting = since is not None and (now - since).total_seconds() > PATIENCE * interval
        return (bool(self.trouble) and lasting) or (not self.trouble and self.is_filling)

    def record(self) -> dict[str, Any]:
        """The JSON form, for the status document."""
        return {
            "slot": self.slot,
            "publication": self.publication,
            "generation": self.generation,
            "made_at": self.made_at,
            "made_because": self.why or None,
            "trouble": self.trouble or None,
            "trouble_since": self.trouble_since,
            "read_at": self.read_at,
            "retained_bytes": self.retained,
            "max_retained_bytes": self.limit,
            "safe_wal_size": self.safe,
            "wal_status": self.wal_status,
            "spilled_bytes": self.spilled,
            "newest_commit": self.newest_commit,
            "oldest_transaction": self.oldest or None,
            "kept_batches": self.kept_batches,
            "kept_bytes": self.kept,
        }


def log_of(config: SyncConfig, ledger: Ledger) -> LogHealth | None:
    """The state of the log; None if no table is read from it, or no tick has looked at it. A slot that no table needs
    any more is trouble, as it holds back the log. Raises LedgerUnavailable, LedgerAccessDenied."""
    none: tuple[SlotRow, ...] = ()
    for row in unless_missing(ledger.slots.all, none):
        if row.known.name != config.log_names(row.ledger)[0]:
            continue
        if config.logged:
            return _health(row, unless_missing(ledger.slots.kept, (0, 0)))
        if row.is_left and row.known.generation:
            since = row.known.read_at or row.known.created_at
            return replace(_health(row, (0, 0)), trouble=_LEFT, trouble_since=since)
    return None


def _health(row: SlotRow, kept: tuple[int, int]) -> LogHealth:
    known, figures = row.known, row.known.figures

    def number(name: str) -> int | None:
        value = figures.get(name)
        return value if isinstance(value, int) else None

    return LogHealth(
        slot=known.name,
        publication=known.publication,
        generation=known.generation,
        made_at=known.created_at,
        why=known.why,
        trouble=known.trouble or "",
        trouble_since=known.trouble_since,
        read_at=known.read_at,
        retained=number("retained"),
        limit=number("limit"),
        safe=number("safe"),
        wal_status=_text(figures.get("wal_status")),
        spilled=number("server_spilled"),
        confirmed=known.confirmed,
        newest_commit=_moment(figures.get("newest_commit")),
        oldest=_text(figures.get("oldest")) or "",
        kept_batches=kept[0],
        kept=kept[1],
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def log_line(log: LogHealth, now: datetime) -> str:
    """One line about the log, for the command `status`."""
    if log.sentence:
        return log.sentence
    held = f"slot {log.slot} holds back {(log.retained or 0) >> 20:,} MB"
    if log.newest_commit is None:
        return held
    seconds = max(0.0, (now - log.newest_commit).total_seconds())
    return f"{held}; the newest change that was read is {approximate_duration(seconds)} old"
