"""A table joins the log: it was read otherwise, and from now on its changes come from there.

The slot keeps the log from its confirmed position on while the table is read. Every transaction that committed before
that position is visible in the table's snapshot, and every later one is in the log, so nothing is between them.
Transactions that are in both are applied again, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.slots.joins import Join
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.log.slot import unpublished
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.streaming import still_invisible
from pgsnow.postgres.replication.fingerprint import inspect_log
from pgsnow.postgres.replication.slot import oldest_transaction
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.stream.slot_reader import LogRead


@dataclass(slots=True)
class LogJoin:
    """One table's way into the log, in one run: `begin` before the last snapshot of the run, `finish` after everything
    that it shows is in the target. begun: the join under way. why: the reason why `begin` has begun none; '': there is
    no slot."""

    engine: EngineContext
    plan: TablePlan
    conn: psycopg.Connection[Any]
    read: LogRead | None = None
    """The read of the log in this tick; None: it was not read."""
    begun: Join | None = None
    barred: bool = False
    """The log cannot be read at present."""
    why: str = ""

    def begin(self, claim: Claim) -> None:
        """Reserve a position, if the table can join now: the slot is there, and the publication has the whole table.
        May be called again."""
        self.begun = None
        if self.barred:
            return
        slot, publication = self.engine.config.log_names(claim.ledger)
        source = self.plan.config.source
        state = inspect_log(self.conn, slot, publication, [source])
        table = state.tables.get(str(source))
        key = [found.attnum for name in self.plan.pk if (found := self.plan.source.column(name)) is not None]
        if state.slot is None or table is None or not table.shows(key):
            missing = unpublished(state).get(str(source), "its replica identity does not contain its pk")
            self.why = "" if state.slot is None else missing
            return
        marks = {str(source): dict(state.fingerprint.get(str(source), {}))}
        read_to, generation, unsettled = 0, 0, frozenset[int]()
        if self.read is not None:
            read_to, generation, unsettled = self.read.reading.end, self.read.generation, self.read.unsettled
        join = self.engine.ledger.log_positions.begin_join(
            claim, slot, marks, generation=generation, read_to=read_to
        )
        if join is not None and still_invisible(self.conn, join.unsettled | unsettled):
            self.why = (
                "a transaction has not ended that was open when the slot was made, or whose commit waits for a"
                f" standby; the oldest open one is {oldest_transaction(self.conn) or 'not known'}"
            )
            self.end(claim)
        else:
            self.begun, self.why = join, ""

    def finish(self, claim: Claim) -> Checkpoint | None:
        """The checkpoint from which the table is read from the log; None: it does not join in this run."""
        if self.begun is None or claim.checkpoint is None:
            return None
        read_to = claim.checkpoint.position
        settled = read_to.lsn if read_to is not None and read_to.lsn is not None else 0
        return claim.checkpoint.evolve(log=replace(self.begun.position, settled=settled))

    def end(self, claim: Claim) -> None:
        """The checkpoint is stored: the slot no longer waits for the table."""
        slot, _ = self.engine.config.log_names(claim.ledger)
        self.engine.ledger.log_positions.end_join(claim, slot)
