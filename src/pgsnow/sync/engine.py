"""The engine, the entry point for hosts: claims tables, finds those that have changed in Postgres, and syncs them."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.fingerprint import entry_hash
from pgsnow.model.config.sync_config import LoadMethod, SyncConfig, TableConfig
from pgsnow.model.errors import LedgerOutdated, PgsnowError
from pgsnow.model.report import ChunkReport, SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.session_pool import SessionPool
from pgsnow.snowflake.stage.stage import Stages
from pgsnow.sync.pipeline.spool import clean_spool
from pgsnow.sync.runtime.context import EngineContext, RunOptions
from pgsnow.sync.runtime.events import Observer
from pgsnow.sync.runtime.log import log_report, logger
from pgsnow.sync.runtime.planner import Planner, target_of
from pgsnow.sync.table.chunk_task import claim_and_load_chunk
from pgsnow.sync.tick.tick import Tick, open_tick
from pgsnow.sync.tick.triage import Triage, log_triage, smallest_first

if TYPE_CHECKING:
    from pgsnow.ledger.requests.requests import Request
    from pgsnow.sync.table.comparison.repair import RepairOrder

NO_OPTIONS = RunOptions()
LEFT_TO_THE_NEXT = "requests and old rows of the ledger wait for the next tick"
DUE_SHARE = 0.8
"""A table is due once this share of its interval has passed. Beats drift, and a repeated beat must change nothing."""


class Engine:
    """Syncs the tables of one configuration. Keeps what outlives a tick: the ledger, connections, plans.

    Create one per process, after any fork. Every method may be called repeatedly and from several threads; if two
    calls need the same table, the first one claims it, and the other reports it as `locked`. As a context manager, it
    closes itself at the end.
    """

    def __init__(
        self,
        config: SyncConfig,
        settings: Settings,
        *,
        ledger: Ledger | None = None,
        observer: Observer | None = None,
        destination: Callable[..., Any] | None = None,
    ) -> None:
        """Opens no connection. ledger: by default the one in Postgres that the settings name. observer: called with
        each event of a run, see pgsnow.sync.runtime.events. destination: see EngineContext.

        Raises ConfigError if two tables have one target, or `load: s3` is set without a bucket in the settings.
        """
        config.check_targets(database=settings.snowflake.database, schema=settings.snowflake.schema)
        config.check_staging(bucket=settings.s3 is not None)
        self.config = config
        self.settings = settings
        self.ledger: Ledger = ledger or Ledger(settings.ledger, config.ledger_schema)
        self.source = Source(settings.source)
        self.planner = Planner(settings.snowflake)
        self._stop = threading.Event()
        self._is_prepared = False
        connections = f"{settings.snowflake!r} {settings.s3!r}"
        self._context = EngineContext(
            config,
            settings,
            self.ledger,
            self.source,
            self.planner,
            observer,
            self._stop,
            Stages.of(settings),
            SessionPool(settings.snowflake),
            {table.name: str(target_of(table, settings.snowflake)) for table in config.tables},
            {table.name: entry_hash(table, connections) for table in config.tables},
            destination,
        )

    def tick(
        self,
        tables: Sequence[str] | None = None,
        *,
        due_only: bool = False,
        full_refresh: bool = False,
        resync: bool = False,
        reread: bool = False,
        duplicates_only: bool = False,
        leave_chunks: bool = False,
        load: bool = False,
        take_over: bool = False,
        confirm_deletes: bool = False,
        requested: bool | None = None,
        asked_by: str | None = None,
    ) -> SyncReport:
        """Sync these tables (all enabled ones by default) up to what Postgres has committed when this is called.

        due_only: skip tables that ran less than their interval ago. full_refresh: read everything, and delete rows
        that the source no longer has. resync: read everything into a shadow table, and then replace the target's
        content with it in one step. reread: read everything and load it again, and delete nothing. take_over: a full
        refresh, after which targets and rows of the ledger that belonged to another configuration belong to this one.
        duplicates_only: remove rows of the target whose key another row has too, and do nothing else. load: load what
        tables with `load_every` have staged, even if it is not due. leave_chunks: begin and finish backfills, but leave
        their chunks to calls of `take_chunk`. confirm_deletes: search for deleted rows now, and delete them whatever
        their number. requested: also try tables whose next attempt is not due after several
        failures; by default those that are named (without due_only), and all if everything is to be read again or
        staged rows are to be loaded. asked_by: schedule, command or `request N`, for the run log; by default the first
        if due_only, otherwise the second.

        A tick over all tables without other options also carries out the actions that people have asked for (see
        pgsnow.ledger.requests), after its own runs; their runs have reports of their own.

        Idempotent: the next tick continues where an interrupted one stopped. A table that fails is in the report, and
        the other tables continue. Raises ConfigError for an unknown table, and LedgerUnavailable or LedgerAccessDenied
        if no table could be claimed.
        """
        options = RunOptions(
            full_refresh=full_refresh, resync=resync, reread=reread, duplicates_only=duplicates_only,
            load=load or confirm_deletes, leave_chunks=leave_chunks, take_over=take_over,
            confirm_deletes=confirm_deletes,
        )  # fmt: skip
        chosen = self.config.select(tables)
        if requested is None:
            requested = (tables is not None and not due_only) or options.refresh or duplicates_only or load
            requested |= confirm_deletes
        with self._claim(
            chosen,
            due_only=due_only,
            requested=requested,
            options=options,
            every=tables is None,
            asked_by=asked_by,
        ) as tick:
            report = tick.run()
        if self.config.heartbeat_table:
            from pgsnow.sync.tick.freshness import write_freshness  # rare

            write_freshness(self._context, report)
        if take_over:
            report = self._with_second_run(report)
        try:
            if tick.has_requests and tables is None and asked_by is None and not options.refresh:
                self.carry_out_requests(leave_chunks=leave_chunks)
            self._tidy()
        except PgsnowError as error:  # the tick's own runs are recorded, and their report must not be lost
            logger().warning(LEFT_TO_THE_NEXT, error=str(error), advice=error.advice)
        log_report(report)
        return report

    def _with_second_run(self, report: SyncReport) -> SyncReport:
        """The report after another run of tables whose former owner's clock is ahead: the next fence is above those of
        its rows."""
        outdated = [table.table for table in report.tables if table.error_type == LedgerOutdated.__name__]
        if not outdated:
            return report
        found = {table.table: table for table in self.tick(outdated).tables}
        tables = (
            replace(found[first.table], events=(*first.events, *found[first.table].events))
            if first.table in found
            else first
            for first in report.tables
        )
        return replace(report, tables=tuple(tables))

    def triage(
        self, tables: Sequence[str] | None = None, *, due_only: bool = False, load: bool = False
    ) -> Triage:
        """Inspect these tables in Postgres, complete the idle ones, and return those that must be synced by a
        `tick` in any process. When this returns, no table is claimed. Idempotent; arguments and errors: those of
        `tick`."""
        chosen, requested = self.config.select(tables), (tables is not None and not due_only) or load
        with self._claim(
            chosen,
            due_only=due_only,
            requested=requested,
            options=RunOptions(load=load),
            every=tables is None,
        ) as tick:
            report, changed = tick.triage()
        if self.config.heartbeat_table:
            from pgsnow.sync.tick.freshness import write_freshness  # rare

            write_freshness(self._context, report)
        waiting: list[Request] = []
        try:
            if tick.has_requests and tables is None:
                waiting = self.ledger.requests.open()
            self._tidy()
        except PgsnowError as error:  # the tables that were inspected must be handed out
            logger().warning(LEFT_TO_THE_NEXT, error=str(error), advice=error.advice)
        found = Triage(report, smallest_first(changed), tuple(request.id for request in waiting))
        log_triage(found)
        return found

    def carry_out_requests(self, only: int | None = None, *, leave_chunks: bool = False) -> list[SyncReport]:
        """Carry out the actions that people have asked for and that no living worker has taken, or this one alone, each
        exactly once, and record how each ended. Returns the reports of their runs. leave_chunks: as for `tick`.

        A request whose table another run has stays open for the next tick. Raises LedgerUnavailable and
        LedgerAccessDenied; other errors end the request that met them as failed.
        """
        from pgsnow.sync.tick.requests import carry_out  # rare

        self._prepare()
        return carry_out(self, holder(), only=only, leave_chunks=leave_chunks)

    def take_chunk(self, table: str | None = None) -> ChunkReport | None:
        """Claim one unclaimed chunk of a backfill (of this table, or of any), load it, and report it. None: there is
        no such chunk, or `max_parallel_chunks` are being loaded already. The table itself need not be claimed.

        A chunk that fails or is stopped is released at once; the chunk of a process that died is claimed again when
        its lease ends. Loading a chunk twice leaves the same rows.

        Raises SchemaMoved if the table or its configuration was changed after the backfill began, and LeaseLost if the
        backfill has ended, was restarted, or lost its target: the table's next tick handles both. Also raises the
        errors that stop a run: ConfigError for an unknown table, SourceUnavailable, TargetUnavailable and other
        PgsnowErrors.
        """
        self._prepare()
        chosen = self.config.select(None if table is None else [table])
        return claim_and_load_chunk(self._context, chosen, holder())

    def record_failure(self, table: str, error: PgsnowError) -> None:
        """Record that the table failed with this error, as if it had run; if another run has it, nothing is recorded.
        Raises ConfigError, LedgerUnavailable, LedgerAccessDenied."""
        with self._claim([self.config.table(table)], requested=False) as tick:
            for claim in tick.claims:
                tick.outcomes.fail(claim, error)

    def replay(self, error_ids: Sequence[int], *, asked_by: str | None = None) -> SyncReport:
        """Read the rows of these open `sync_errors` entries from the source again, by key, and load them.

        Entries whose rows were loaded, or no longer exist in the source, are closed; entries whose rows are rejected
        again stay open. Idempotent. Raises LedgerUnavailable or LedgerAccessDenied, and ConfigError for an entry of a
        table that is not in the configuration.
        """
        self._prepare()
        rows = self.ledger.rejected_rows.listed(ids=error_ids, limit=max(len(error_ids), 1))
        names = sorted({row.source_table for row in rows})
        with self._claim([self.config.table(name) for name in names], asked_by=asked_by) as tick:
            report = tick.replay(rows)
        log_report(report)
        return report

    def repair(self, orders: Mapping[str, RepairOrder], *, confirm_deletes: bool = False) -> SyncReport:
        """Read the rows of these differences again, by key, and load them; remove rows that the source does not have,
        and surplus rows of a key. orders: by table.

        Rows that are rejected again stay rejected. A table that is locked, paused or backing off, and one of which
        everything is about to be read, is left alone, which its report says. confirm_deletes: remove rows also where so
        many would be that a person is asked. Idempotent. Raises ConfigError for an unknown table, and LedgerUnavailable
        or LedgerAccessDenied.
        """
        self._prepare()
        tables = [self.config.table(name) for name in orders]
        options = RunOptions(confirm_deletes=confirm_deletes)
        with self._claim(tables, requested=False, options=options) as tick:
            report = tick.repair(orders)
        log_report(report)
        return report

    def stop(self) -> None:
        """Ask running calls to end after the current load batch. Cannot be undone. Safe in a signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stop.is_set()

    def remove_loaded_files(self) -> None:
        """Remove from the stages what is loaded, and would wait there for a later tick; for a process that ends. Sends
        nothing if nothing waits. Never raises PgsnowError."""
        from pgsnow.sync.tick.removal import remove_files  # rare

        if self._context.destination is None:
            remove_files(self._context, uuid.uuid4().hex[:16])

    def _tidy(self) -> None:
        """Once an hour in each process: delete old rows of the ledger, remove loaded files that no run has removed for
        an hour, because nothing changes any more, and look after replication slots that nothing has read for an hour.
        """
        if self.ledger.run_log.purge(self.config.log_retention_days) is None:
            return
        if self.ledger.loaded_files.overdue(self.settings.snowflake.account):
            self.remove_loaded_files()
        if left := [row for row in self.ledger.slots.all() if row.is_left]:
            from pgsnow.sync.stream.care import look_after_slots  # rare

            look_after_slots(self._context, left, holder())

    def close(self) -> None:
        """Close every connection and release every lease. Must not be called while another call is running."""
        self._context.sessions.close()
        self.source.close()
        self.ledger.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claim(
        self,
        tables: Sequence[TableConfig],
        *,
        due_only: bool = False,
        requested: bool = True,
        options: RunOptions = NO_OPTIONS,
        every: bool = False,
        asked_by: str | None = None,
    ) -> AbstractContextManager[Tick]:
        """Claim the tables that are free; due_only, requested, asked_by: as for `tick`. every: these are all tables, so
        the claim notes a tick. A beat may come slightly early."""
        self._prepare()
        run_id, names = uuid.uuid4().hex[:16], [table.name for table in tables]
        interval = self.config.sync_interval_seconds
        early = interval * (1 - DUE_SHARE)
        ages = {table.name: max(interval - early, table.every - early) for table in tables if due_only}
        claims, refusals = self.ledger.leases.claim(
            names,
            run_id=run_id,
            holder=holder(),
            min_age=ages,
            entries={} if requested else self._context.entries,
            early=early,
            asked_by=asked_by or ("schedule" if due_only else "command"),
            interval=interval if every and asked_by is None else 0.0,
        )
        return open_tick(self._context, run_id, claims, refusals, options)

    def _prepare(self) -> None:
        """On the first call: migrate the ledger, clean the spool, log the settings' warnings."""
        if self._is_prepared:
            return
        self.ledger.migrate()
        clean_spool()
        bucket = self.settings.s3 if any(t.load is LoadMethod.S3 for t in self.config.enabled) else None
        for warning in (
            *self.config.warnings,
            *self.settings.snowflake.warnings,
            *(bucket.warnings if bucket else ()),
        ):
            logger().warning(warning)
        self._is_prepared = True


def holder() -> str:
    """`host:pid` of this process, by which other processes name the holder of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"
