"""Positions of tables in the log: how far all of them are durable, and which tables are about to join."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.queries import Queries, storable
from pgsnow.ledger.slots.store import SlotClaim
from pgsnow.model.errors import LeaseLost
from pgsnow.model.log.position import LogPosition
from pgsnow.model.log.slot import Fingerprint

PATIENCE = 900.0
"""Seconds for which the slot waits for a table that stays behind, while the changes of others become durable."""


@dataclass(frozen=True, slots=True)
class Join:
    """A table that joins the log at `position`, once every one of `unsettled` (transaction ids, 32 bits) is visible to
    the snapshot in which it is read otherwise."""

    position: LogPosition
    unsettled: frozenset[int]


@dataclass(frozen=True, slots=True)
class LogPositions:
    """Reads and writes of sync_slots and sync_watermarks, each of them one statement."""

    queries: Queries

    def durable(self, claim: SlotClaim, generation: int, until: int, tables: Collection[str]) -> int:
        """The LSN up to which the changes of all these tables are in their targets or staged; at most `until`. Raises
        LeaseLost."""
        found = self.queries.execute(
            "durable_in_log",
            slot=claim.slot,
            fence=claim.fence,
            generation=generation,
            until=until,
            tables=[*tables],
            patience=PATIENCE,
        ).fetchone()
        if found is None:
            raise LeaseLost(f"another worker reads the replication slot {claim.slot} now")
        return int(found["durable"])

    def begin_join(
        self, claim: Claim, slot: str, fingerprint: Fingerprint, *, generation: int = 0, read_to: int = 0
    ) -> Join | None:
        """Let the slot keep the log for this table, from where it was read to in this tick (`read_to`, in the slot of
        this generation), else from its confirmed position on, until `end_join`, the end of the run or another claim of
        the table. Must precede the snapshot that the table is read in. fingerprint: of this table alone. None:
        there is no slot."""
        found = self.queries.execute(
            "begin_log_join",
            slot=slot,
            table=claim.table,
            fence=claim.fence,
            generation=generation,
            read_to=read_to,
            fingerprint=Jsonb(storable(fingerprint)),
        ).fetchone()
        if found is None:
            return None
        position = LogPosition(found["generation"], found["position"])
        return Join(position, frozenset(int(xid) for xid in found["unsettled"]))

    def end_join(self, claim: Claim, slot: str) -> None:
        """The table's checkpoint has its position in the log now, or does not join. Idempotent."""
        self.queries.execute("end_log_join", slot=slot, table=claim.table, fence=claim.fence)

    def forget(self, tables: Collection[str]) -> None:
        """The log may lack changes of these tables: each is read otherwise before it follows the log again."""
        if tables:
            self.queries.execute("forget_log_positions", tables=[*tables])
