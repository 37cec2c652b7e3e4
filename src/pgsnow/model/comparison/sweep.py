"""Sweeps: searches for rows that were deleted in the source, by comparing the keys of both sides.

docs/decisions/36-when-a-sweep-is-due.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgsnow.model.config.options import Deletes
from pgsnow.model.key_range import KeyRange, RangeDigest


@dataclass(frozen=True, slots=True)
class DeleteRule:
    """Treatment of the target's rows that the source no longer has. why: for messages, why no sweep finds them, or
    none is needed; "": sweeps find them. by_default: only in targets that pgsnow has created, as nothing is
    configured."""

    deletes: Deletes
    why: str = ""
    by_default: bool = False

    @property
    def sweeps(self) -> bool:
        """True if deleted rows are found by sweeps."""
        return not self.why


@dataclass(frozen=True, slots=True)
class SweepState:
    """State of a table's sweeps, as the ledger stores it. Moments are seconds since 1970, by the clock of its server.

    All of the source that is in here was read before the snapshot of the sweep (or of the full read that made a sweep
    unnecessary), so that a row that is deleted in between makes the next sweep due.
    """

    leaves: Mapping[str, Any] = field(default_factory=dict)
    """oid, as text → [relfilenode, n_tup_del] of the table and of its leaves; those without storage are left out."""
    statistics: str = ""
    """Identifies the statistics that n_tup_del belongs to: they begin again with a reset or a crash."""
    rights: str = ""
    """A hash of what decides which rows the role sees: the role itself, row-level security and policies."""
    history: str = ""
    """System identifier, timeline and database of the source."""
    next_xid: int = 0
    """The next transaction id of the source's server; 0: not known."""
    swept_at: float | None = None
    """Start of the run that completed the last sweep; None: there was none."""
    seconds: float = 0.0
    """Duration of the last sweep."""
    pending_since: float | None = None
    """Since when a sweep is due that is not complete; None: none is."""
    pending_why: str = ""
    tried_at: float = 0.0
    """Start of the run that began the last sweep without completing it; 0: the last one was completed."""
    tried_seconds: float = 0.0
    """Duration of that attempt."""
    rest: int = 0
    """Rows of the target without a row in the source that the last sweep left on purpose."""
    unsure_since: float = 0.0
    """When it was last noticed that a statement of an earlier run may commit late: it may insert deleted keys again."""
    unsure_until: float = 0.0
    """When such a statement has certainly ended."""


@dataclass(frozen=True, slots=True)
class DueSweep:
    """A sweep that a run has to do.

    why: for events, such as "rows were deleted in the source". state: to be stored when the sweep is complete. before:
    as stored after the last sweep; None: there was none.
    """

    why: str
    state: SweepState
    before: SweepState | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """Result of a complete sweep. rows_deleted: deleted in the target, or marked as deleted. rest: as in SweepState."""

    rows_deleted: int = 0
    ranges_compared: int = 0
    seconds: float = 0.0
    rest: int = 0


@dataclass(frozen=True, slots=True)
class FirstLevel:
    """The source's rows by ranges of their keys, in one snapshot. without: keys of rejected rows, column → text, which
    are left out. No ranges: there are too many of those. lsn: Snapshot.lsn."""

    ranges: tuple[KeyRange, ...]
    digests: tuple[RangeDigest, ...]
    without: tuple[Mapping[str, str | None], ...] = ()
    lsn: int | None = None
