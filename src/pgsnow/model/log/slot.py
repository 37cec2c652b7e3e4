"""A replication slot and its publication as the server shows them and as the ledger knows them, and what is done about
the difference. Pure.

https://www.postgresql.org/docs/current/view-pg-replication-slots.html"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgsnow.model.log.lsn import format_lsn

Fingerprint = Mapping[str, Mapping[str, str]]
"""By table (`schema.table`), and under PUBLICATION for the publication itself: name of a property → its value."""
PUBLICATION = ""
DEFAULT_RETAINED = 8 << 30
"""Bytes of write-ahead log that a slot may hold back, if neither the configuration nor the server limits them."""
OLDEST_SERVER = 130_000
LOST = "lost"


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot as the server shows it. None: not known, or this version of the server has no such column.

    restart, confirmed: LSN. wal_status: reserved, extended, unreserved or lost. safe_wal_size: bytes that may still be
    written until the slot is in danger. spilled: bytes that decoding has written to the source's disk since the
    statistics were reset.
    """

    plugin: str
    database: str
    active_pid: int | None = None
    restart: int | None = None
    confirmed: int | None = None
    wal_status: str | None = None
    safe_wal_size: int | None = None
    invalidation: str | None = None
    failover: bool | None = None
    synced: bool = False
    two_phase: bool = False
    spilled: int | None = None

    @property
    def is_lost(self) -> bool:
        """The server no longer has the log that the slot needs: it can only be dropped."""
        return self.wal_status == LOST or self.invalidation is not None or self.restart is None


@dataclass(frozen=True, slots=True)
class PublicationState:
    """A publication as the catalog shows it. operations: those of insert, update, delete and truncate that it
    publishes. via_root: changes of partitions are published as those of their root. comment: '' if it has none."""

    operations: frozenset[str]
    via_root: bool
    all_tables: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class LogTable:
    """A table that is to be read from the log. identity: pg_class.relreplident. filtered: the publication has a row
    filter for it. columns: those that the publication has, if not all of them (numbers, as in pg_attribute.attnum).
    key: the columns of its replica identity; None: those of its partitions count, or all columns belong to it. hidden:
    why its changes do not arrive under its name although it is published; '': they do."""

    oid: int
    identity: str
    published: bool
    filtered: bool = False
    columns: tuple[int, ...] = ()
    key: frozenset[int] | None = None
    hidden: str = ""

    def shows(self, key: Collection[int]) -> bool:
        """False if the log lacks columns of this key (attnum) in deletes and in changes of keys, or if a row filter
        hides rows. (Those of partitions show only when they are read.)"""
        whole = self.published and not self.filtered and not self.hidden
        return whole and (self.key is None or self.key.issuperset(key))


@dataclass(frozen=True, slots=True)
class LogState:
    """Everything that a tick must know about the log before it reads it, from one query.

    end: insert position of the write-ahead log (of a standby: replay position). keep: max_slot_wal_keep_size in bytes;
    None: no limit. tables: by `schema.table`; one that is missing in the catalog is missing here. standby_slots: slots
    of standbys (synchronized_standby_slots) before which no log is sent from slots with `failover`.
    """

    server_version: int
    wal_level: str
    in_recovery: bool
    database: str
    end: int
    keep: int | None
    slot: SlotState | None
    publication: PublicationState | None
    tables: Mapping[str, LogTable]
    fingerprint: Fingerprint
    standby_slots: tuple[str, ...] = ()

    @property
    def retained(self) -> int:
        """Bytes of write-ahead log that the slot holds back."""
        slot = self.slot
        return 0 if slot is None or slot.restart is None else max(0, self.end - slot.restart)

    def most_retained(self, configured: int | None) -> int:
        """Bytes that the slot may hold back. configured: `max_retained_wal`, if it is set."""
        if configured is not None:
            return configured
        return DEFAULT_RETAINED if self.keep is None else self.keep // 2


def measurements(state: LogState, configured: int | None) -> dict[str, Any]:
    """Figures of the slot, which the ledger keeps for the status. configured: `max_retained_wal`, if it is set."""
    slot = state.slot
    return {
        "retained": state.retained,
        "limit": state.most_retained(configured),
        "safe": slot.safe_wal_size if slot else None,
        "wal_status": slot.wal_status if slot else None,
        "server_spilled": slot.spilled if slot else None,
        "end": state.end,
    }


@dataclass(frozen=True, slots=True)
class KnownSlot:
    """A slot as the ledger knows it.

    generation: number of the slot as it was made; 0: none was made yet. system, timeline, database: where it was made,
    as in ServerIdentity and Position ('' and 0: not known). confirmed: the newest LSN that was confirmed, or was about
    to be. unsettled: xids (32 bits) that the log has shown as committed, while they were still invisible to snapshots.
    created_at: when it was made, or was begun to be. fingerprint: as the last tick saw it; empty: not seen yet. why:
    the reason why this generation was made. trouble: why the log is not read at present; None: it is. figures: what the
    last tick has measured, for the status.
    """

    name: str
    publication: str
    generation: int = 0
    system: str = ""
    timeline: int = 0
    database: int = 0
    confirmed: int = 0
    unsettled: frozenset[int] = frozenset()
    fingerprint: Fingerprint = field(default_factory=dict)
    created_at: datetime | None = None
    why: str = ""
    read_at: datetime | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    trouble: str | None = None
    trouble_since: datetime | None = None


class SlotAction(StrEnum):
    """Treatment of the slot by a tick."""

    READ = "read"
    """The log is read from it."""
    CREATE = "create"
    """A new one is made, as a new generation; all tables are bridged."""
    WAIT = "wait"
    """Another session reads from it: the tables wait for the next tick."""
    REFUSE = "refuse"
    """The log cannot be read, and a person must change something: all tables are bridged."""


@dataclass(frozen=True, slots=True)
class SlotVerdict:
    """Decision about a slot. why: a sentence for events, `check` and the status; '': nothing is to be told. advice:
    for a person. drop: a slot of this name is there, and is dropped first. doubtful: by `schema.table`, why its changes
    may be missing in the log: it is bridged, and may join again in the same tick. unpublished: tables that the
    publication does not have in full, with the reason: they are bridged until it has."""

    action: SlotAction
    why: str = ""
    advice: str = ""
    drop: bool = False
    doubtful: Mapping[str, str] = field(default_factory=dict)
    unpublished: Mapping[str, str] = field(default_factory=dict)


OPERATIONS = ("insert", "update", "delete", "truncate")
_SETUP = "Run `pgsnow log setup`."


def slot_verdict(
    state: LogState,
    known: KnownSlot,
    *,
    system: str = "",
    timeline: int = 0,
    most_retained: int | None = None,
    ours: bool = True,
    forks: Sequence[tuple[int, int]] = (),
) -> SlotVerdict:
    """Decide about the slot, from what the server shows now and what the ledger knows.

    system, timeline: of the server now ('' and 0: not known). most_retained: `max_retained_wal` in bytes; None: the
    default. ours: the slot's name is derived
    from this ledger's id, so that one which the ledger does not know may be replaced. forks: as in Horizon: a standby
    that took over with everything that was read, and with the slot, is read on. The horizon must have been taken
    before `state`: a change of the publication after that horizon is then noticed now or by the next tick, and the
    bridge from the horizon reads what the log does not have.
    """
    if refused := server_problem(state) or _publication_problem(state):
        return refused
    slot = state.slot
    if slot is not None and (slot.plugin != "pgoutput" or slot.database != state.database):
        return _refuse(
            f"the replication slot {known.name} is another program's (plugin {slot.plugin}, database {slot.database})",
            "Write another name as `log_slot`.",
        )
    if slot is not None and slot.active_pid is not None:
        return SlotVerdict(
            SlotAction.WAIT, f"the replication slot {known.name} is in use by process {slot.active_pid}"
        )
    if slot is not None and not known.generation and known.created_at is None and not ours:
        return _refuse(
            f"the replication slot {known.name} is there, and this ledger did not make it",
            "If nothing else reads from it, drop it: SELECT pg_drop_replication_slot('"
            + known.name
            + "'); else write another name as `log_slot`.",
        )
    left = dict(forks).get(known.timeline)
    if left is not None and known.confirmed <= left:
        timeline = known.timeline
    if why := _broken(state, known, system, timeline):
        return SlotVerdict(SlotAction.CREATE, why, drop=slot is not None)
    most = state.most_retained(most_retained)
    if state.retained > most:
        return SlotVerdict(
            SlotAction.CREATE,
            f"the replication slot {known.name} held back {state.retained >> 20} MB of write-ahead log, more than"
            f" max_retained_wal ({most >> 20} MB)",
            "Find out what kept the log from being read: `pgsnow log status`.",
            drop=True,
        )
    return SlotVerdict(SlotAction.READ, doubtful=doubts(known, state), unpublished=unpublished(state))


def server_problem(state: LogState) -> SlotVerdict | None:
    """Why this server's log cannot be read, whatever slot and publication there are; None: it can."""
    if state.server_version < OLDEST_SERVER:
        return _refuse(
            "mode log needs PostgreSQL 13 or newer",
            "Upgrade Postgres, or write `mode: watermark` or `mode: xmin`.",
        )
    if state.in_recovery:
        return _refuse(
            "POSTGRES_DSN leads to a standby, and mode log reads from a primary",
            "Point POSTGRES_DSN at the primary, or write `mode: watermark` or `mode: xmin`.",
        )
    if state.wal_level != "logical":
        return _refuse(
            f"the server has wal_level = {state.wal_level}, and mode log needs logical",
            "Run `ALTER SYSTEM SET wal_level = 'logical';` and restart the server (a service: its own setting, such as"
            " rds.logical_replication = 1).",
        )
    return None


def _publication_problem(state: LogState) -> SlotVerdict | None:
    published = state.publication
    if published is None:
        return _refuse("the publication is missing", _SETUP)
    if missing := [name for name in OPERATIONS if name not in published.operations]:
        return _refuse(f"the publication does not publish {', '.join(missing)}", _SETUP)
    return None


def _refuse(why: str, advice: str) -> SlotVerdict:
    return SlotVerdict(SlotAction.REFUSE, why, advice)


def _broken(state: LogState, known: KnownSlot, system: str, timeline: int) -> str:
    """Why a slot must be made, or made again; '': it has everything from where it was read to."""
    slot, name = state.slot, f"the replication slot {known.name}"
    if not known.generation:
        return f"{name} was not made yet"
    if system != known.system and "" not in (system, known.system):
        return "the source is another server"
    if timeline != known.timeline and 0 not in (timeline, known.timeline):
        return "the source's timeline changed (failover or restore)"
    if state.end < known.confirmed:
        return (
            f"the source's log ends at {format_lsn(state.end)}, but was read up to {format_lsn(known.confirmed)} (an"
            " older state was restored, or a standby took over that lacked the end)"
        )
    if slot is None:
        return f"{name} is gone (it was dropped, or a standby took over that did not have it)"
    if slot.is_lost:
        reason = f": {slot.invalidation}" if slot.invalidation else ""
        return f"{name} was invalidated by the server{reason}"
    if slot.confirmed is not None and slot.confirmed > known.confirmed:
        return (
            f"{name} was moved to {format_lsn(slot.confirmed)} by something else than this ledger's workers, which had"
            f" read to {format_lsn(known.confirmed)} (it was made again, or another program reads from it)"
        )
    return ""


def unpublished(state: LogState) -> dict[str, str]:
    """Tables that the publication does not have, or not with all rows under the table's own name, and why."""
    found = {}
    for name, table in state.tables.items():
        if not table.published:
            found[name] = "the publication does not have it"
        elif table.filtered:
            found[name] = "the publication has a row filter for it"
        elif table.hidden:
            found[name] = table.hidden
    return found


_CHANGED = {
    "table": "the table was created again",
    "identity": "its replica identity was changed",
    "member": "it was taken out of the publication and put back",
    "filter": "its row filter in the publication was changed",
    "columns": "its column list in the publication was changed",
    "publication": "the publication was changed, or dropped and made again",
    "options": "what the publication publishes was changed",
    "schemas": "the schemas in the publication were changed",
    # A change of a type rewrites rows (USING), of which the log has none.
    "definition": "its definition was changed",
}


def slot_name_of(ledger: str) -> str:
    """The slot's name, and the publication's, unless the configuration names others. ledger: the ledger's id, which
    stays when it is moved."""
    return "pgsnow_" + re.sub("[^a-z0-9]", "", ledger.lower())[:12]


def doubts(known: KnownSlot, state: LogState) -> dict[str, str]:
    """By table, why the log may lack changes of it since the last tick. Empty if no tick has seen the publication yet,
    and without tables that are new."""
    before, now = known.fingerprint, state.fingerprint
    if not before:
        return {}
    whole = _change(before.get(PUBLICATION, {}), now.get(PUBLICATION, {}))
    found = {}
    for name in state.tables:
        if name not in before or name not in now:
            continue
        if why := whole or _change(before[name], now[name]):
            found[name] = why
    return found


def _change(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [name for name in _CHANGED if before.get(name) != now.get(name)]
    if not changed:
        return ""
    was, identity = (mark.get("identity", "") for mark in (before, now))
    # That of a partitioned table is a hash over its partitions, without the columns of an index.
    if changed[0] == "identity" and identity[2:] and "/" not in identity[2:] and was[:1] == identity[:1]:
        return "a partition was attached, detached or dropped, or its replica identity was changed"
    return _CHANGED[changed[0]]
