"""Inspection of claimed tables, in Postgres alone: are there rows to read, and must everything be read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode, is_restarted
from pgsnow.model.errors import SchemaMoved
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.postgres.incremental.audit import audit_if_due
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.incremental.probe import Probe, probe
from pgsnow.postgres.incremental.window import UNBOUNDED
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result of one inspection. `checkpoint` is where the next read starts: the ledger's, or a new one after an
    audit."""

    claim: Claim
    prepared: Prepared
    plan: TablePlan
    recorder: Recorder
    checkpoint: Checkpoint | None
    probe: Probe
    drift: Drift
    restarted: bool = False
    """The source's server was started since the checkpoint: the ledger in it may have been restored with it."""

    @property
    def has_changes(self) -> bool:
        """True if there are rows to load, a changed definition, or leftovers of an earlier run to clean up, or if the
        target must show that the ledger was not restored to an older state."""
        return self.restarted or self.probe.busy or self.drift.has_work or bool(self.claim.open_batches)


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects the tables of one tick: the horizon first, then each table. Thread-safe; each call takes a source
    connection from the pool. recorders: by table."""

    context: EngineContext
    connections: Connections
    recorders: Mapping[str, Recorder]

    def take_horizon(self, claims: Sequence[Claim]) -> tuple[Horizon, dict[str, str | None]]:
        """The horizon, taken before any snapshot of this tick, and the catalog fingerprint of each table (None: the
        table does not exist).

        A role that may not see other sessions needs the saved listing; see pgsnow.postgres.incremental.horizon.
        """
        ledger, source = self.context.ledger, self.context.settings.source.display
        sources = [self.context.config.table(claim.table).source for claim in claims]
        with self.connections.one() as conn:
            horizon, listing = take_horizon(conn, ledger.checkpoints.virtual_xids(source))
            if listing is not None:
                ledger.checkpoints.save_virtual_xids(source, listing)
            found = fingerprints(conn, sources)
        return horizon, {claim.table: found.get(s) for claim, s in zip(claims, sources, strict=True)}

    def inspect(self, claim: Claim, horizon: Horizon, fingerprint: str | None) -> Inspection:
        """Plan the table, and probe it for changes with one statement; run the audit when it is due. Opens no
        connection to Snowflake. Raises SourceUnavailable, and what Planner.plan raises."""
        self.recorders[claim.table].tell("started")
        return self._plan_and_probe(claim, horizon, fingerprint)

    def inspect_again(self, claim: Claim, horizon: Horizon, moved: SchemaMoved) -> Inspection:
        """Inspect a table that was altered during its run. Reusing the older horizon is safe: more rows are read."""
        self.recorders[claim.table].events.append(f"planned again: {moved}")
        source = self.context.config.table(claim.table).source
        with self.connections.one() as conn:
            fingerprint = fingerprints(conn, [source]).get(source)
        return self._plan_and_probe(claim, horizon, fingerprint)

    def _plan_and_probe(self, claim: Claim, horizon: Horizon, fingerprint: str | None) -> Inspection:
        if claim.unreadable is not None:
            raise claim.unreadable
        recorder, config = self.recorders[claim.table], self.context.config.table(claim.table)
        with self.connections.one() as conn:
            with recorder.timed("plan"):
                prepared = self.context.planner.plan(conn, config, fingerprint, claim.stored_definition)
                plan, drift = prepared.plan, prepared.drift
            with recorder.timed("probe"):
                checkpoint, finding = audit_if_due(conn, plan, claim.checkpoint, horizon)
                recorder.events.extend(text for text in (finding, claim.unverified) if text is not None)
                if claim.stored_definition is None and claim.checkpoint is not None:
                    drift = drift.without_definition(claim.checkpoint.shape)
                recorder.events.extend(text for text in drift.sentences if text not in recorder.events)
                if drift.by_xid and checkpoint is not None and checkpoint.mode is ReadMode.WATERMARK:
                    checkpoint = checkpoint.evolve(low=UNBOUNDED)
                if claim.reset_to is not None and checkpoint is not None:
                    from pgsnow.postgres.incremental.reset import follow_reset  # rare

                    checkpoint, event = follow_reset(conn, plan, checkpoint, claim.reset_to)
                    recorder.events.extend([event] if event else [])
                found = probe(conn, plan, checkpoint, horizon)
        restarted = claim.checkpoint is not None and is_restarted(claim.checkpoint, horizon)
        return Inspection(claim, prepared, plan, recorder, checkpoint, found, drift, restarted)
