"""sync_slots: one row for each replication slot, with a lease like those of tables (see ledger/leases.py): the slot is
read by one worker at a time, and each write names the fence of its claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.queries import Queries, cut, statement, storable
from pgsnow.ledger.session import LedgerConnection, lock_key
from pgsnow.model.errors import LeaseLost
from pgsnow.model.log.slot import Fingerprint, KnownSlot

LEFT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class SlotClaim:
    """The right to read one slot, until another worker is granted a higher fence. known: the slot as the ledger knew it
    when the claim was granted."""

    slot: str
    fence: int
    known: KnownSlot


@dataclass(frozen=True, slots=True)
class SlotRefusal:
    """Another worker reads the slot."""

    slot: str
    holder: str
    since: datetime | None
    known: KnownSlot


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot as commands and the status show it. ledger: the ledger's id. Seconds: since the last complete read, since
    the trouble began, and since the last complete read or, without one, since the slot was made."""

    known: KnownSlot
    ledger: str = ""
    holder: str | None = None
    read_seconds: float | None = None
    trouble_seconds: float | None = None
    unread_seconds: float = 0.0

    @property
    def is_left(self) -> bool:
        """There is a slot, and nothing has read it for an hour."""
        return (
            self.known.created_at is not None and self.holder is None and self.unread_seconds > LEFT_SECONDS
        )


@dataclass(frozen=True, slots=True)
class Slots:
    """Claims slots, and records how far they are read."""

    queries: Queries
    lease_seconds: float = field(default=600.0)

    def claim(self, slot: str, publication: str, *, run_id: str, holder: str) -> SlotClaim | SlotRefusal:
        """Claim a slot that no living worker reads; its row is created at the first time. One round trip, or two."""
        wanted = {
            "slot": slot,
            "publication": publication,
            "run_id": run_id,
            "holder": holder,
            "lease_seconds": self.lease_seconds,
            "key": self._key(slot),
        }
        return self.queries.session.run(lambda connection: self._claim(connection, wanted))

    def renew(self, claim: SlotClaim) -> None:
        """Extend the claim. Raises LeaseLost."""
        self._write("renew_slot", claim, lease_seconds=self.lease_seconds)

    def release(self, claim: SlotClaim) -> None:
        """Give the claim back. Never raises LeaseLost."""
        self.queries.session.run(lambda connection: self._release(connection, claim))

    def advance(
        self,
        claim: SlotClaim,
        confirmed: int,
        *,
        unsettled: Iterable[int] | None = None,
        fingerprint: Fingerprint | None = None,
        figures: Mapping[str, Any] | None = None,
        complete: bool = True,
        timeline: int | None = None,
    ) -> None:
        """Record that everything up to this LSN is durably staged, BEFORE it is confirmed to the server: a slot that
        the server shows beyond it was moved by something else. Raises LeaseLost.

        fingerprint: as `inspect_log` gave it before this read; it is stored once the tables that it makes doubtful are
        bridged, or have lost their position. figures: measurements; others that are stored stay. complete: the read
        came to its noted end. timeline: of the server now. None: what is stored stays.
        """
        self._write(
            "advance_slot",
            claim,
            confirmed=confirmed,
            unsettled=None if unsettled is None else Jsonb(sorted(unsettled)),
            fingerprint=None if fingerprint is None else Jsonb(storable(fingerprint)),
            figures=None if figures is None else Jsonb(storable(figures)),
            complete=complete,
            timeline=timeline or None,
        )

    def begin(self, claim: SlotClaim) -> None:
        """Record that the slot is about to be made, so that one which is found after a crash is known as ours. Raises
        LeaseLost."""
        self._write("begin_slot", claim)

    def new_generation(
        self,
        claim: SlotClaim,
        confirmed: int,
        *,
        why: str,
        unsettled: Iterable[int] = (),
        system: str = "",
        timeline: int = 0,
        database: int = 0,
        fingerprint: Fingerprint | None = None,
    ) -> int:
        """Record that the slot was made, with its first position; returns its generation. unsettled: transactions
        that were open just after that: a commit before the position may have been invisible still. Every table is
        bridged, as its position is one in another generation. Raises LeaseLost."""
        row = self._write(
            "new_generation",
            claim,
            confirmed=confirmed,
            why=cut(why),
            unsettled=Jsonb(sorted(unsettled)),
            system=system,
            timeline=timeline,
            database=database,
            fingerprint=Jsonb(storable(fingerprint or {})),
        )
        return int(row["generation"])

    def trouble(self, claim: SlotClaim, why: str, figures: Mapping[str, Any] | None = None) -> None:
        """Record why the log is not read at present; a read that advances ends it. Raises LeaseLost."""
        found = None if figures is None else Jsonb(storable(figures))
        self._write("slot_trouble", claim, why=cut(why), figures=found)

    def all(self) -> tuple[SlotRow, ...]:
        """Every slot that this ledger knows."""
        return tuple(
            SlotRow(
                _known(row),
                row["ledger"] or "",
                row["lease_holder"] if row["is_held"] else None,
                row["read_seconds"],
                row["trouble_seconds"],
                row["unread_seconds"] or 0.0,
            )
            for row in self.queries.execute("slots")
        )

    def spool_of(self, slot: str) -> str:
        """The identifier of the folder `log_spool_dir` of this slot's configuration; "": there is none."""
        row = self.queries.execute("spool_of", slot=slot).fetchone()
        return row["spool"] if row else ""

    def remember_spool(self, slot: str, spool: str) -> None:
        """Record the folder `log_spool_dir`; the slot must be known."""
        self.queries.execute("remember_spool", slot=slot, spool=spool)

    def kept(self) -> tuple[int, int]:
        """Batches that wait in `log_spool_dir`, of all tables, and their bytes."""
        row = self.queries.execute("kept_files").fetchone() or {}
        return int(row.get("batches", 0)), int(row.get("bytes", 0))

    def forget(self, slot: str, why: str, claim: SlotClaim | None = None) -> None:
        """Record that the slot was dropped; no table continues from a position in it."""
        self.queries.execute("forget_slot", slot=slot, why=cut(why), fence=claim.fence if claim else 0)

    def _key(self, slot: str) -> int:
        return lock_key(self.queries.schema, f"slot\0{slot}")

    def _claim(self, connection: LedgerConnection, wanted: dict[str, Any]) -> SlotClaim | SlotRefusal:
        name = f"slot\0{wanted['slot']}"  # no table has such a name
        params = wanted | {
            "locked": name in connection.locked,
            "has_own_session": connection.has_own_session,
        }
        query = statement("claim_slot", self.queries.schema)
        # A row that the statement adds itself is not visible to it.
        row = connection.execute(query, params).fetchone() or connection.execute(query, params).fetchone()
        assert row is not None
        if row["granted_fence"] is None:
            return SlotRefusal(wanted["slot"], row["lease_holder"] or "", row["lease_since"], _known(row))
        if row["keeps_lock"]:
            connection.locked[name] = row["granted_fence"]
        return SlotClaim(wanted["slot"], row["granted_fence"], _known(row))

    def _release(self, connection: LedgerConnection, claim: SlotClaim) -> None:
        name = f"slot\0{claim.slot}"
        locked = connection.locked.get(name) == claim.fence
        params = {"slot": claim.slot, "fence": claim.fence, "key": self._key(claim.slot), "locked": locked}
        connection.execute(statement("release_slot", self.queries.schema), params)
        if locked:
            del connection.locked[name]

    def _write(self, name: str, claim: SlotClaim, **params: Any) -> Mapping[str, Any]:
        done = self.queries.execute(name, slot=claim.slot, fence=claim.fence, **params)
        if not done.rowcount:
            raise LeaseLost(f"another worker reads the replication slot {claim.slot} now")
        return (done.fetchone() if done.description else None) or {}


def _known(row: Mapping[str, Any]) -> KnownSlot:
    unsettled, fingerprint, figures = row["unsettled"], row["fingerprint"], row["figures"]
    return KnownSlot(
        name=row["slot"],
        publication=row["publication"],
        generation=row["generation"],
        system=row["system"],
        timeline=row["timeline"],
        database=row["database"],
        confirmed=row["confirmed"],
        unsettled=frozenset(xid for xid in unsettled if isinstance(xid, int))
        if isinstance(unsettled, list)
        else frozenset(),
        fingerprint={table: marks for table, marks in fingerprint.items() if isinstance(marks, dict)}
        if isinstance(fingerprint, dict)
        else {},
        created_at=row["created_at"],
        why=row["why"],
        read_at=row["read_at"],
        figures=figures if isinstance(figures, dict) else {},
        trouble=row["trouble"],
        trouble_since=row["trouble_since"],
    )
