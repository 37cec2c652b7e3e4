"""Inspection of a claimed table, in Postgres alone: is there anything to read, and is everything read?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.audit import audit_if_due
from pgsnow.postgres.incremental.probe import Probe, probe
from pgsnow.postgres.incremental.window import UNBOUNDED
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result of one inspection. `checkpoint` is where to go on from: the ledger's, or another after an audit."""

    claim: Claim
    prepared: Prepared
    progress: Recorder
    checkpoint: Checkpoint | None
    probe: Probe
    drift: Drift

    @property
    def plan(self) -> TablePlan:
        return self.prepared.plan

    @property
    def has_changes(self) -> bool:
        """True if there are rows to load, a changed definition, or leftovers of an earlier run to clean up."""
        return self.probe.busy or self.drift.has_work or bool(self.claim.open_batches)


def inspect_table(
    claim: Claim, prepared: Prepared, conn: psycopg.Connection, horizon: Horizon, progress: Recorder
) -> Inspection:
    """One probe (one statement), and the audit when it is due. Opens no connection to Snowflake."""
    with progress.timed("probe"):
        checkpoint, finding = audit_if_due(conn, prepared.plan, claim.checkpoint, horizon)
        if finding is not None:
            progress.events.append(finding)
        drift = since(claim, prepared)
        progress.events.extend(text for text in drift.sentences if text not in progress.events)
        if drift.by_xid and checkpoint is not None and checkpoint.mode is ReadMode.WATERMARK:
            checkpoint = checkpoint.evolve(low=UNBOUNDED)
        found = probe(conn, prepared.plan, checkpoint, horizon)
        return Inspection(claim, prepared, progress, checkpoint, found, drift)


def since(claim: Claim, prepared: Prepared) -> Drift:
    """The drift; where no definition is stored, an older checkpoint shows whether a column was added with a default."""
    drift, plan = prepared.drift, prepared.plan
    before = claim.checkpoint.shape if claim.checkpoint is not None else None
    if claim.stored_definition is None and before == plan.shape != plan.older_shape:
        return replace(drift, full_read="a column was added with a default")
    return drift
