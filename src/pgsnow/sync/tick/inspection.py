"""What one tick finds out in Postgres before it does anything: the horizon first, then a look at each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import SchemaMoved
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.inspect import Inspection, look_at


class TickInspection:
    """Any thread may call; each look has a connection of its own while it lasts."""

    def __init__(
        self, means: EngineContext, connections: Connections, progress: Mapping[str, Recorder]
    ) -> None:
        """progress: by table."""
        self._means = means
        self._connections = connections
        self._progress = progress

    def outset(self, claims: Sequence[Claim]) -> tuple[Horizon, dict[str, str | None]]:
        """The horizon, taken before any snapshot of this tick, and the fingerprint of each table that there is."""
        sources = [self._means.config.table(claim.table).source for claim in claims]
        with self._connections.one() as conn:
            horizon = self._horizon(conn)
            prints = fingerprints(conn, sources)
        return horizon, {claim.table: prints.get(s) for claim, s in zip(claims, sources, strict=True)}

    def at(self, claim: Claim, horizon: Horizon, mark: str | None) -> Inspection:
        """mark: the table's fingerprint."""
        self._progress[claim.table].tell("started")
        return self._plan_and_look(claim, horizon, mark)

    def again(self, claim: Claim, horizon: Horizon, moved: SchemaMoved) -> Inspection:
        """The table was altered since the look before: plan it as it is now. An older horizon only reads more."""
        self._progress[claim.table].events.append(f"planned again: {moved}")
        source = self._means.config.table(claim.table).source
        with self._connections.one() as conn:
            mark = fingerprints(conn, [source]).get(source)
        return self._plan_and_look(claim, horizon, mark)

    def _horizon(self, conn: psycopg.Connection) -> Horizon:
        """Saved listings serve roles that may not see other sessions; see pgsnow.postgres.incremental.horizon."""
        ledger, name = self._means.ledger, self._means.settings.source.display
        horizon, listing = take_horizon(conn, ledger.checkpoints.virtual_xids(name))
        if listing is not None:
            ledger.checkpoints.save_virtual_xids(name, listing)
        return horizon

    def _plan_and_look(self, claim: Claim, horizon: Horizon, mark: str | None) -> Inspection:
        progress = self._progress[claim.table]
        with self._connections.one() as conn:
            with progress.timed("plan"):
                config = self._means.config.table(claim.table)
                prepared = self._means.planner.plan(conn, config, mark, claim.stored_definition)
            return look_at(claim, prepared, conn, horizon, progress)
