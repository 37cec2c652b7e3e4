"""A table's checkpoint: its horizon (X, L), the transactions already read, and past reads for the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

MAX_SEEN = 10_000
MAX_TRAIL = 64
MAX_RUNNING = 200
"""How many open transactions a mark names: the oldest ones. Rows of others are read again instead of reported."""


class ReadMode(StrEnum):
    """How changed rows are found. It is stored, because an audit may switch a table from WATERMARK to XMIN."""

    WATERMARK = "watermark"
    XMIN = "xmin"
    LOOKBACK = "lookback"
    CURSOR = "cursor"
    FULL = "full"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Identifies the server that transaction ids (xids) belong to. After a restore or a failover, or on another server,
    stored xids are meaningless."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """One listing of running transactions, taken before the snapshots that rely on it.

    low: lower bound, as timestamptz text in UTC, on the start of every transaction that is not visible to a later
    snapshot ('-infinity': unknown). prepared: there was a prepared transaction, whose start Postgres does not show; a
    table's own bound then stays where it was. running: the xids that open transactions of this database, prepared ones
    too, had just after the listing, in ascending order (no subtransactions: nothing lists those). next_xid: the
    lowest xid that was not given out then (None: unknown).
    """

    identity: ServerIdentity
    taken_at: str
    low: str
    prepared: bool = False
    standby: bool = False
    running: tuple[int, ...] = ()
    next_xid: int | None = None


@dataclass(frozen=True, slots=True)
class VirtualXids:
    """Running virtual transactions and the earliest time at which each may have begun, for roles that may not read
    pg_stat_activity. Any stored listing is a valid base for the next one."""

    taken_at: str = "-infinity"
    begun: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """A past read. For integer watermarks: after `at`, the sequence only gives values above `value`.

    For audits: rows of transactions that this read cannot have seen (xid ≥ xmax, or in `running`) have a watermark ≥
    `low` (as in Checkpoint.low). Rows that it may not have seen have an xid ≥ `since`; None (marks of older versions):
    xmax.
    """

    at: str
    xmax: int
    low: str
    value: str | None = None
    since: int | None = None
    running: tuple[int, ...] = ()

    @property
    def first_unseen(self) -> int:
        """The lowest xid whose rows this read may not have seen."""
        return self.xmax if self.since is None else self.since


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a table has been read. Stored only after the target has committed everything up to it.

    x: xmin of the snapshot that was read (64 bits). Row versions that it did not see have xid ≥ x (I1).
    low: their watermark is ≥ low (I2): a timestamptz as text, or an integer for integer watermarks ('-infinity':
    unknown). max_skew is not subtracted yet.
    seen: xids ≥ x whose rows were already read. Dropping any of them is safe and only causes rows to be read again.
    audit_x, audited_at: x and time of the last audit.
    again: xids whose rows the next read reads whatever their watermark, because an audit could not tell whether they
    were read.
    cursor: (watermark, *key) as text, of the last row read, for ReadMode.CURSOR.
    shape: TablePlan.shape of the read; a different one requires a full read (None, from older ledgers: any will do).
    content_hash: hash of the content last loaded, for FULL and APPEND.
    last_watermark: the largest finite watermark loaded, as text; it is displayed, and a lookback starts from it.
    """

    mode: ReadMode
    identity: ServerIdentity
    x: int
    low: str
    seen: frozenset[int] = frozenset()
    trail: tuple[Mark, ...] = ()
    audit_x: int | None = None
    audited_at: str | None = None
    cursor: tuple[str, ...] | None = None
    last_watermark: str | None = None
    shape: str | None = None
    content_hash: str | None = None
    again: frozenset[int] = frozenset()

    def evolve(self, **changes: Any) -> Checkpoint:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode.value,
            "system_identifier": self.identity.system_identifier,
            "timeline": self.identity.timeline,
            "x": self.x,
            "low": self.low,
            "seen": sorted(self.seen),
            "trail": [[m.at, m.xmax, m.low, m.value] for m in self.trail],
            "unseen": [[m.since, *m.running] for m in self.trail],
            "audit_x": self.audit_x,
            "audited_at": self.audited_at,
            "cursor": None if self.cursor is None else list(self.cursor),
            "last_watermark": self.last_watermark,
            "shape": self.shape,
            "digest": self.content_hash,
            "again": sorted(self.again),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Checkpoint:
        cursor, trail = data.get("cursor"), data.get("trail", ())
        unseen = data.get("unseen") or [[None]] * len(trail)
        return cls(
            mode=ReadMode(data["mode"]),
            identity=ServerIdentity(data["system_identifier"], int(data["timeline"])),
            x=int(data["x"]),
            low=data["low"],
            seen=frozenset(int(v) for v in data.get("seen", ())),
            trail=tuple(
                Mark(at, int(xmax), low, value, since, tuple(running))
                for (at, xmax, low, value), (since, *running) in zip(trail, unseen, strict=True)
            ),
            audit_x=data.get("audit_x"),
            audited_at=data.get("audited_at"),
            cursor=None if cursor is None else tuple(cursor),
            last_watermark=data.get("last_watermark"),
            shape=data.get("shape"),
            content_hash=data.get("digest"),
            again=frozenset(data.get("again", ())),
        )
