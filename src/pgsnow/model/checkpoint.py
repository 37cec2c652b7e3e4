"""A table's checkpoint: its horizon (X, L), the transactions already read, and past reads for the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgsnow.model.log.position import LogPosition

MAX_SEEN = 10_000
MAX_TRAIL = 64
MAX_RUNNING = 200
"""How many open transactions a mark names: the oldest ones. Rows of others are read again instead of reported."""

OTHER_SERVER = "the source is another server"
OTHER_TIMELINE = "the source's timeline changed (failover or restore)"
OTHER_DATABASE = "the source is another database of the server (created again, or POSTGRES_DSN has changed)"
LOG_WENT_BACK = "the source lost transactions that had been read (an older state was restored, or it crashed)"
XIDS_WENT_BACK = "transaction ids went back (another server, or an older state of this one)"
UNPROVEN = "the source was restarted, and nothing shows that it still has what was read"
LEDGER_WENT_BACK = (
    "the target has rows of a later run than the ledger knows (it was restored, or that run did not end)"
)
WENT_BACK = frozenset(
    {LEDGER_WENT_BACK, OTHER_SERVER, OTHER_TIMELINE, OTHER_DATABASE, LOG_WENT_BACK, XIDS_WENT_BACK, UNPROVEN}
)
"""Reasons for a full read after which the target may hold rows, or versions of rows, that the source does not have."""
SELECTION = "the selection of rows was changed"
"""A doubt about the target begins with this if rows in it were selected by an earlier configuration."""


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
    stored xids are meaningless. '' and 0: the role may not read it."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True, slots=True)
class Position:
    """A point in a server's history. database: the database's oid. started: when the server process was started, as
    text ('' for a standby: its restarts lose nothing). lsn: an end of the write-ahead log, in bytes, that no commit
    which the read saw lies behind (None: the role may not read it). taken_at: of the horizon of the read."""

    database: int
    started: str
    lsn: int | None
    taken_at: str = ""


@dataclass(frozen=True, slots=True)
class Horizon:
    """One listing of running transactions, taken before the snapshots that rely on it.

    resumed: where the write-ahead log ended when the server was last started; None: not known (any more). reads_log:
    the role may read where the log ends now.
    low: lower bound, as timestamptz text in UTC, on the start of every transaction that is not visible to a later
    snapshot ('-infinity': unknown). prepared: there was a prepared transaction, whose start Postgres does not show; a
    table's own bound then stays where it was. running: the xids that open transactions of this database, prepared ones
    too, had just after the listing, in ascending order (no subtransactions: nothing lists those). next_xid: the
    lowest xid that was not given out then (None: unknown). database: the name of the database. forks: (an earlier
    timeline, the LSN at which this server left it), where they were asked for.
    """

    identity: ServerIdentity
    taken_at: str
    low: str
    prepared: bool = False
    standby: bool = False
    position: Position | None = None
    resumed: int | None = None
    reads_log: bool = False
    running: tuple[int, ...] = ()
    next_xid: int | None = None
    database: str = ""
    forks: tuple[tuple[int, int], ...] = ()


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
    were read. reread: those whose rows were read so, and which an older transaction could make doubtful again.
    cursor: (watermark, *key) as text, of the last row read, for ReadMode.CURSOR.
    shape: TablePlan.shape of the read; a different one requires a full read (None, from older ledgers: any will do).
    content_hash: hash of the content last loaded, for FULL and APPEND, and where the role may not read xmin.
    last_watermark: the largest finite watermark loaded, as text; it is displayed, and a lookback starts from it.
    position: where the read stood in the history of the source (None, from older ledgers: not known).
    updates: with `insert_only`, how many updates the server had counted on the table (None: not known).
    log: with `mode: log`, how far the table was read from the log (None: it is not read from it yet, or no more).
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
    position: Position | None = None
    again: frozenset[int] = frozenset()
    reread: frozenset[int] = frozenset()
    updates: int | None = None
    log: LogPosition | None = None
    reset_to: str | None = None
    """The watermark from which rows are read again, because a person set it in the ledger ('': from the beginning).
    Not stored."""

    def evolve(self, **changes: Any) -> Checkpoint:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """The checkpoint as the ledger stores it. Empty fields that earlier versions do not know are left out, so
        that their rows stay as they are."""
        marked = any(mark.since is not None for mark in self.trail)
        later = {
            "position": list(astuple(self.position)) if self.position else None,
            "unseen": [[mark.since, *mark.running] for mark in self.trail] if marked else None,
            "again": sorted(self.again),
            "reread": sorted(self.reread),
            "updates": self.updates,
            "log": self.log.to_json() if self.log else None,
        }
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
            "digest": self.content_hash,
        } | {key: value for key, value in later.items() if value or (key, value) == ("updates", 0)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Checkpoint:
        cursor, trail = data.get("cursor"), data.get("trail", ())
        texts = (data["low"], data["system_identifier"], *(cursor or ()))
        known = (data.get(name) for name in ("last_watermark", "shape", "digest", "audited_at"))
        if not all(isinstance(text, str) for text in (*texts, *(text for text in known if text is not None))):
            raise TypeError("a checkpoint has a value of another type")
        for text in {data["low"], data.get("audited_at") or data["low"], *(mark[2] for mark in trail)}:
            if text != "-infinity" and not text.lstrip("-").isdigit():
                datetime.fromisoformat(text)
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
            position=Position(*data["position"]) if data.get("position") else None,
            again=frozenset(data.get("again", ())),
            reread=frozenset(data.get("reread", ())),
            updates=data.get("updates"),
            log=LogPosition.from_json(data["log"]) if data.get("log") else None,
        )


def break_in_history(checkpoint: Checkpoint, horizon: Horizon) -> str | None:
    """Why the source is known not to have everything that was read up to this checkpoint (one of WENT_BACK); or None.
    What a role may not read shows nothing."""
    before, now = checkpoint.identity, horizon.identity
    if before.system_identifier != now.system_identifier != "" != before.system_identifier:
        return OTHER_SERVER
    continued = bool(horizon.forks) and continues_in(checkpoint, horizon)
    if before.timeline != now.timeline != 0 != before.timeline and not continued:
        return OTHER_TIMELINE
    was, there = checkpoint.position, horizon.position
    if was is None or there is None:
        return None
    if was.database != there.database:
        return OTHER_DATABASE
    if was.lsn is None or there.lsn is None or was.taken_at == there.taken_at != "":
        return None  # the last: a read of the same tick, after this horizon
    resumed = horizon.resumed if is_restarted(checkpoint, horizon) and not continued else None
    return LOG_WENT_BACK if min(there.lsn, there.lsn if resumed is None else resumed) < was.lsn else None


def continues_in(checkpoint: Checkpoint, horizon: Horizon) -> bool:
    """True if the server is on a later timeline that is known to have left the checkpoint's behind the read: a standby
    that took over had received everything that was read."""
    left, was = dict(horizon.forks).get(checkpoint.identity.timeline), checkpoint.position
    return left is not None and was is not None and was.lsn is not None and was.lsn <= left


def is_restarted(checkpoint: Checkpoint, horizon: Horizon) -> bool:
    """True if the server was started since the checkpoint. Of several standbys any may have answered, so for them only
    the end of the write-ahead log counts."""
    was, there = checkpoint.position, horizon.position
    return was is not None and there is not None and was.started != there.started != "" != was.started


def is_unproven(checkpoint: Checkpoint, horizon: Horizon) -> bool:
    """True if the server was started since the checkpoint, and it is not known where in its history it resumed."""
    if horizon.forks and continues_in(checkpoint, horizon):
        return False
    known = checkpoint.position is not None and checkpoint.position.lsn is not None
    return is_restarted(checkpoint, horizon) and not (known and horizon.resumed is not None)
