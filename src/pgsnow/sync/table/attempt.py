"""One try at a table's run, and what the next one is to know if the table was altered under it."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import LeaseLost
from pgsnow.sync.load.deferred import Staged
from pgsnow.sync.load.destination import Destination
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.options import RunOptions
from pgsnow.sync.table.chunk_loader import ChunkLoader
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.inspect import Inspection


class Attempt:
    """A context manager: what it opens in Snowflake is closed at its end."""

    def __init__(self, means: EngineContext, look: Inspection, conn: psycopg.Connection) -> None:
        self._means = means
        self._look = look
        self._conn = conn
        self._destination = Destination(
            means.settings.snowflake,
            look.plan,
            means.ledger,
            look.claim,
            look.progress,
            means.stop,
            means.stagings,
        )

        self._staged = Staged(
            look.plan, means.ledger, look.claim, self._destination, look.progress, means.stagings
        )

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, LeaseLost):
            self._destination.batches.abandon()
        self._destination.close()

    def table_run(self, horizon: Horizon, wishes: RunOptions, *, loads: bool) -> RunContext:
        """loads: what waits in the stage is to be loaded now."""
        means, look, destination = self._means, self._look, self._destination
        quarantine = RejectedRows(
            look.plan,
            look.prepared.transform,
            means.ledger,
            look.claim,
            look.progress,
            self._conn,
            destination.target.limits,
        )
        return RunContext(
            look.plan, look.claim, look.checkpoint, horizon, means.source, means.ledger,
            quarantine, destination, look.progress, means.stop, wishes, look.drift,
            look.probe, self._staged, self._chunk_worker, loads=loads, resync=wishes.resync,
        )  # fmt: skip

    def _chunk_worker(self) -> ChunkLoader:
        return ChunkLoader(self._means, self._look.prepared, self._conn, self._look.claim.run_id)

    def given_up(self) -> Claim:
        """The claim to try again with: its staging is swept, and a run that begins from nothing ends there."""
        self._destination.batches.sweep()
        known = self._destination.target.known
        staged = self._staged
        claim = replace(
            self._look.claim,
            open_batches=(),
            target_columns=None,
            stored_definition=known,
            staged=tuple(staged.waiting),
        )
        if self._destination.target.from_nothing:
            return replace(claim, checkpoint=None)
        return claim if staged.back_at is None else replace(claim, checkpoint=staged.back_at)
