"""A first look at a claimed table, in Postgres alone: what would be read, and is there anything at all?"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from pgsnow.ledger.store import Claim
from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.audit import audit_if_due
from pgsnow.postgres.read import Probe, probe
from pgsnow.sync.planning import Prepared
from pgsnow.sync.progress import Progress


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `checkpoint` is where to go on from: the ledger's, or another after an audit."""

    claim: Claim
    prepared: Prepared
    progress: Progress
    checkpoint: Checkpoint | None
    probe: Probe

    @property
    def plan(self) -> TablePlan:
        return self.prepared.plan

    @property
    def busy(self) -> bool:
        """True if there are rows to load, or staging of an earlier run to sweep."""
        return self.probe.busy or bool(self.claim.open_batches)


def look_at(
    claim: Claim, prepared: Prepared, conn: psycopg.Connection, horizon: Horizon, progress: Progress
) -> Look:
    """One probe (one statement), and the audit when it is due. Opens no connection to Snowflake."""
    with progress.timed("probe"):
        checkpoint, finding = audit_if_due(conn, prepared.plan, claim.checkpoint, horizon)
        if finding is not None:
            progress.events.append(finding)
        return Look(claim, prepared, progress, checkpoint, probe(conn, prepared.plan, checkpoint, horizon))
