"""What is remembered of a table's reads: the lossless watermark's (X, L), the seen xids, the trail for audits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

MAX_SEEN = 10_000
MAX_TRAIL = 64


class ReadMode(StrEnum):
    """How changed rows are found. The ledger keeps it: an audit may move a table from WATERMARK to XMIN."""

    WATERMARK = "watermark"
    XMIN = "xmin"
    LOOKBACK = "lookback"
    CURSOR = "cursor"
    FULL = "full"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Which server's xids these are. A restore, a failover or another server makes old ones meaningless."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """One listing of running transactions, taken before every snapshot that relies on it.

    `low` is the lower bound, as timestamptz text in UTC, on the start of any transaction not yet visible to a
    snapshot taken later ('-infinity': unknown). With `prepared`, a prepared transaction was about, whose start
    Postgres does not tell: a table's own bound then stays where it was.
    """

    identity: ServerIdentity
    taken_at: str
    low: str
    prepared: bool = False
    standby: bool = False


@dataclass(frozen=True, slots=True)
class VirtualXids:
    """Running virtual transactions and the earliest moment each may have begun, for roles that may not read
    pg_stat_activity. Any saved listing is a valid base for the next one."""

    taken_at: str = "-infinity"
    begun: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """A past read. For integer watermarks: their sequence gives more than `value` after `at`. For audits: what a
    transaction with xid ≥ xmax wrote has a watermark ≥ `low` (as in Checkpoint.low)."""

    at: str
    xmax: int
    low: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Saved only after the target has committed all that it stands for.

    x: xmin of the snapshot that was read (64 bits). Row versions invisible to it have xid ≥ x (I1).
    low: their watermark is ≥ low (I2): a timestamptz as text, or an integer for integer watermarks ('-infinity':
    unknown). max_skew is not taken from it yet.
    seen: xids ≥ x whose rows were read already. Dropping any is safe; re-reads are all it costs.
    audit_x, audited_at: x and time of the last audit.
    cursor: (watermark, *key) as text, of the last row read, for ReadMode.CURSOR.
    shape: TablePlan.shape of the read; another one asks for a full read (None, from older ledgers: any).
    digest: of the content last loaded, for FULL and APPEND.
    last_watermark: the largest finite watermark loaded, as text; shown to people, and the base of a lookback.
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
    digest: str | None = None

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
            "audit_x": self.audit_x,
            "audited_at": self.audited_at,
            "cursor": None if self.cursor is None else list(self.cursor),
            "last_watermark": self.last_watermark,
            "shape": self.shape,
            "digest": self.digest,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Checkpoint:
        cursor = data.get("cursor")
        return cls(
            mode=ReadMode(data["mode"]),
            identity=ServerIdentity(data["system_identifier"], int(data["timeline"])),
            x=int(data["x"]),
            low=data["low"],
            seen=frozenset(int(v) for v in data.get("seen", ())),
            trail=tuple(Mark(at, int(xmax), low, value) for at, xmax, low, value in data.get("trail", ())),
            audit_x=data.get("audit_x"),
            audited_at=data.get("audited_at"),
            cursor=None if cursor is None else tuple(cursor),
            last_watermark=data.get("last_watermark"),
            shape=data.get("shape"),
            digest=data.get("digest"),
        )
