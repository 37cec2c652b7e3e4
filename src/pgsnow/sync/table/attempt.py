"""One attempt at a table's run: opens what it needs, and knows where another attempt goes on from.

Imports all that a busy table needs and an idle tick does without (Arrow, Parquet, the way into Snowflake), so it is
imported with the first busy table of a process: that costs as much CPU as several idle ticks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import LeaseLost
from pgsnow.snowflake.session import begin_import
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.destination import destination_of
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.options import RunOptions
from pgsnow.sync.table.chunk_loader import ChunkLoader
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.inspect import Inspection
from pgsnow.sync.table.replay import replay_keys
from pgsnow.sync.table.run import sync_table

__all__ = ["open_run", "replay_keys", "retry_claim", "sync_table"]


@contextmanager
def open_run(
    engine: EngineContext,
    found: Inspection,
    conn: psycopg.Connection,
    horizon: Horizon,
    options: RunOptions,
    *,
    loads_staged: bool,
) -> Iterator[RunContext]:
    """The run of an inspected table. Its session in Snowflake is closed at the end; if another run has claimed the
    table meanwhile, the batches that this one has left outside are removed first.

    conn: for small queries. loads_staged: batches that wait in the stage are loaded now.
    """
    begin_import()  # the driver is by far the largest part, and is not needed while Postgres is looking for the rows
    plan, recorder, claim = found.plan, found.progress, found.claim
    table = ClaimedTable(engine.ledger, claim)
    destination = destination_of(engine, plan, table, recorder)
    rejected = RejectedRows(plan, found.prepared.transform, engine.ledger, claim, recorder, conn)
    try:
        yield RunContext(
            plan, table, found.checkpoint, horizon, engine.source, rejected, destination, recorder, engine.stop,
            options, found.drift, found.probe,
            lambda: ChunkLoader(engine, found.prepared, conn, claim.run_id),
            loads_staged=loads_staged, resync=options.resync,
        )  # fmt: skip
    except LeaseLost:
        destination.batches.abandon()
        raise
    finally:
        destination.close()


def retry_claim(run: RunContext) -> Claim:
    """The claim that another attempt goes on with: batches of this one are cleaned up, and the target is to be looked
    up again."""
    run.destination.batches.cleanup()
    return replace(run.claim, open_batches=(), target_columns=None)
