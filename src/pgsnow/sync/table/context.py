"""Context of one run of one table: its facts and services, how it is opened, and the outcome of the run.

It imports everything that a busy table needs and an idle tick does not (Arrow, Parquet, the Snowflake loaders), so it
is imported with the first busy table of a process: the import costs as much CPU time as several idle ticks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.backfill import Backfill, ChunkCounts
from pgsnow.model.checkpoint import SELECTION, Checkpoint, Horizon, ReadMode
from pgsnow.model.comparison.sweep import DeleteRule, FirstLevel
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import LeaseLost, PgsnowError
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.postgres.read.reader import Reader
from pgsnow.snowflake.session import begin_import
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.destination import Destination, destination_of
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.runtime.context import EngineContext, RunOptions
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.table.chunk_loader import ChunkLoader
from pgsnow.sync.table.inspect import Inspection

if TYPE_CHECKING:
    from pgsnow.sync.stream.join import LogJoin
    from pgsnow.sync.stream.log_spool import LogSpool
    from pgsnow.sync.stream.log_tick import TableLog


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """Result of a run that did not fail. backfilled: it completed a backfill, whichever processes loaded its
    chunks. remaining: progress of a backfill whose remaining chunks other processes are loading, at which the run
    ended."""

    backfilled: bool = False
    remaining: ChunkCounts | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """Facts and services of one run. because: why everything must be read, whatever the checkpoint says."""

    plan: TablePlan
    table: ClaimedTable
    checkpoint: Checkpoint | None
    """Where the read starts; None: everything is read."""
    horizon: Horizon
    source: Source
    rejected: RejectedRows
    destination: Destination
    recorder: Recorder
    stop: threading.Event
    options: RunOptions
    drift: Drift
    probe: Probe | None
    """Result of the inspection of the table before this run."""
    chunk_loader: Callable[[], ChunkLoader]
    restarted: bool = False
    """As in Inspection."""
    loads_staged: bool = False
    """Staged batches are due, or a person requested that they be loaded."""
    counted: list[FirstLevel | PgsnowError] = field(default_factory=list)
    """The source's counts in the snapshot of the last read, for the search for deleted rows; or the error of
    counting."""
    because: str | None = None
    backfill: Backfill | None = None
    """The backfill whose chunks are all in the target; `checkpoint` was captured before them."""
    log: TableLog | None = None
    """The table's part of what was read from the log; None: it is not read from it in this run."""
    join: LogJoin | None = None
    """With `mode: log`: how the table joins the log after it was read otherwise."""
    log_spool: LogSpool | None = None
    """The folder `log_spool_dir`; None: the configuration names none."""
    resync: bool = False
    """The rows that are read replace the target's content in one step."""

    @property
    def claim(self) -> Claim:
        return self.table.claim

    @property
    def ledger(self) -> Ledger:
        return self.table.ledger

    @property
    def deletes(self) -> DeleteRule:
        """Treatment of the target's rows that the source no longer has; it may change when this run creates the
        target."""
        return self.plan.deletes(self.table.claim.created_target)

    @property
    def replaces_content(self) -> bool:
        """True if the rows of a full read replace the target's whole content (or, with mode append, are added as a
        whole)."""
        before = self.checkpoint.mode if self.checkpoint else None
        as_a_whole = self.plan.whole or self.drift.replace or self.resync
        return as_a_whole or before in (ReadMode.FULL, ReadMode.APPEND)

    @property
    def reshaped(self) -> bool:
        """True if the target may have been filled with another key than the plan's."""
        other_shape = self.checkpoint is not None and self.checkpoint.shape != self.plan.shape
        return self.drift.replace or other_shape

    @property
    def prunes(self) -> bool:
        """True if target rows that a full read does not find are deleted: also while it is doubtful what it has, except
        for rows that were selected by an earlier rule, which only a person has deleted."""
        if self.backfill is not None and self.backfill.prunes:
            return True
        doubt = self.table.claim.unverified
        if doubt is not None and not doubt.startswith(SELECTION) and not self.plan.whole:
            return True
        return self.options.deletes or (self.drift.prune and not self.plan.whole)

    def facts(self, reader: Reader) -> LoadFacts:
        """Facts that decide which loader is chosen. reader: already entered."""
        return LoadFacts(
            full_read=reader.full_read is not None,
            first=self.checkpoint is None,
            resumable=reader.resumable,
            replaces=self.replaces_content,
            requested=self.options.deletes,
            reshaped=self.reshaped,
            other_keys=self.drift.replace,
        )


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
    """The run of an inspected table. If another run has claimed the table in the meantime, this run's open batches are
    removed at the end.

    conn: for small queries. loads_staged: load staged batches now.
    """
    begin_import()  # the connector takes longest to import, and is not needed while Postgres executes the query
    plan, recorder, claim = found.plan, found.recorder, found.claim
    table = ClaimedTable(
        engine.ledger,
        claim,
        claim.target.rows,
        sweep=found.sweep,
        state=found.state,
        take_over=options.take_over,
    )
    destination = destination_of(engine, plan, table, recorder)
    join = None
    if plan.config.mode is TableMode.LOG:
        from pgsnow.sync.stream.join import LogJoin  # for such tables

        join = LogJoin(engine, plan, conn, found.log_read, barred=found.log_barred)
    log_spool = None
    if engine.config.log_spool_dir is not None:
        from pgsnow.sync.stream.log_spool import spool_of  # where the configuration names one

        log_spool = spool_of(engine.config, engine.ledger.slots, claim.ledger)
    rejected = RejectedRows(plan, found.prepared.transform, engine.ledger, claim, recorder, conn)
    try:
        yield RunContext(
            plan, table, found.checkpoint, horizon, engine.source, rejected, destination, recorder, engine.stop,
            options, found.drift, found.probe,
            lambda: ChunkLoader(engine, found.prepared, conn, claim.run_id),
            restarted=found.restarted, loads_staged=loads_staged, resync=options.resync,
            log=found.log, join=join, log_spool=log_spool,
        )  # fmt: skip
    except LeaseLost:
        destination.batches.abandon()
        raise
    finally:
        if recorder.in_doubt:
            engine.ledger.sweeps.due_again(table.claim)


def retry_claim(run: RunContext) -> Claim:
    """The claim for another attempt: the batches of this attempt are cleaned up, and the target will be looked up
    again."""
    run.destination.batches.cleanup()
    known = replace(run.claim.target, rows=None)
    return replace(run.claim, open_batches=(), target_columns=None, target=known)
