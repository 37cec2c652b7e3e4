"""Inspects the tables of one tick in Postgres: the horizon first, then each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import SchemaMoved
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.inspect import Inspection, inspect_table


@dataclass(frozen=True, slots=True)
class TickInspection:
    """Any thread may call; each call takes a source connection while it lasts. recorders: by table."""

    context: EngineContext
    connections: Connections
    recorders: Mapping[str, Recorder]

    def take_horizon(self, claims: Sequence[Claim]) -> tuple[Horizon, dict[str, str | None]]:
        """The horizon, taken before any snapshot of this tick, and the catalog fingerprint of each table (None: there
        is no such table).

        A role that may not see other sessions needs their saved listing; see pgsnow.postgres.incremental.horizon.
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
        """Start the table's run: plan it and probe it for changes. Raises SourceUnavailable, and what Planner.plan
        raises."""
        self.recorders[claim.table].tell("started")
        return self._plan_and_probe(claim, horizon, fingerprint)

    def inspect_again(self, claim: Claim, horizon: Horizon, moved: SchemaMoved) -> Inspection:
        """Inspect a table that was altered during its run. The older horizon is safe: it only reads more."""
        self.recorders[claim.table].events.append(f"planned again: {moved}")
        source = self.context.config.table(claim.table).source
        with self.connections.one() as conn:
            fingerprint = fingerprints(conn, [source]).get(source)
        return self._plan_and_probe(claim, horizon, fingerprint)

    def _plan_and_probe(self, claim: Claim, horizon: Horizon, fingerprint: str | None) -> Inspection:
        recorder = self.recorders[claim.table]
        with self.connections.one() as conn:
            with recorder.timed("plan"):
                config = self.context.config.table(claim.table)
                prepared = self.context.planner.plan(conn, config, fingerprint, claim.stored_definition)
            return inspect_table(claim, prepared, conn, horizon, recorder)
