"""One tick: claim what is due, find out in Postgres what is busy, sync that, and remember."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import LoadMethod, SyncConfig, TableConfig
from pgsnow.model.report import ChunkReport, SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.sync.pipeline.spool import sweep_spool
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.events import Observer, ignore
from pgsnow.sync.runtime.log import log_report, logger
from pgsnow.sync.runtime.options import NONE, RunOptions
from pgsnow.sync.runtime.planner import Planner
from pgsnow.sync.table.chunk_task import claim_and_load_chunk, new_run_id
from pgsnow.sync.tick.tick import Tick
from pgsnow.sync.tick.triage import Triage, log_triage, smallest_first

DUE_SHARE = 0.8
"""Of the interval: a table that ran less long ago is not due. Beats drift; a second beat must change nothing."""


class Engine:
    """Keeps what outlives a tick: the configuration, the ledger, connections, plans. One a process; make it after a
    fork. `tick` may be called again and again, from several threads too: who claims a table first has it. `stop` asks
    all of them."""

    def __init__(
        self,
        config: SyncConfig,
        settings: Settings,
        *,
        ledger: Ledger | None = None,
        observer: Observer = ignore,
    ) -> None:
        config.check_targets(database=settings.snowflake.database, schema=settings.snowflake.schema)
        config.check_staging(bucket=settings.s3 is not None)
        self.config = config
        self.settings = settings
        self.ledger: Ledger = ledger or Ledger(settings.ledger, config.ledger_schema)
        self.source = Source(settings.source)
        self.observer = observer
        self.planner = Planner(settings.snowflake)
        self.stagings = Stages.of(settings)
        self._stop = threading.Event()
        self._migrated = False

    def tick(
        self,
        tables: Sequence[str] | None = None,
        *,
        due_only: bool = False,
        full_refresh: bool = False,
        resync: bool = False,
        leave_chunks: bool = False,
        load: bool = False,
    ) -> SyncReport:
        """Sync these tables (all enabled ones by default), each as far as Postgres has committed now.

        full_refresh: read everything, and delete what the source no longer has. resync: the same, but the target keeps
        what it has until all of it is there, and then has that alone, at once. load: tables with `load_every` too are
        loaded now, with all that waits.
        leave_chunks: backfills are begun and ended here, and their chunks are left to `take_chunk`.
        A failed table is in the report and leaves the others running. Raises ConfigError for an unknown table,
        LedgerUnavailable or LedgerAccessDenied when nothing could be claimed.
        """
        wishes = RunOptions(full_refresh=full_refresh, resync=resync, load=load, leave_chunks=leave_chunks)
        with self._chosen(tables, due_only, wishes) as tick:
            report = tick.run()
        self.ledger.run_log.purge(self.config.log_retention_days)
        log_report(report)
        return report

    def triage(self, tables: Sequence[str] | None = None, *, due_only: bool = False) -> Triage:
        """The first half of a tick: look at these tables in Postgres, settle the idle ones, and tell which are to be
        synced, by `tick` in whatever process. When this returns nobody holds them. Raises as `tick` does."""
        with self._chosen(tables, due_only) as tick:
            report, busy = tick.triage()
        self.ledger.run_log.purge(self.config.log_retention_days)
        found = Triage(report, smallest_first(busy))
        log_triage(found)
        return found

    def take_chunk(self, table: str | None = None) -> ChunkReport | None:
        """Load one chunk that waits, of this table's backfill or of any table's; None: none waits, or as many are being
        loaded as `max_parallel_chunks` allows. It needs no lease of the table. May be called from several threads.

        What is left undone, by a failure or by `stop`, is given back at once; a chunk of a worker that died is given to
        the next who asks. Raises SchemaMoved if the table or its configuration was altered, LeaseLost if the backfill
        was begun anew or ended or its target is gone: in both cases the table's next tick knows what to do; and what
        else a run of the table raises.
        """
        self._prepare()
        return claim_and_load_chunk(
            self._means(), self.config.select(None if table is None else [table]), holder()
        )

    def replay(self, error_ids: Sequence[int]) -> SyncReport:
        """Read the rows of these open quarantine entries from the source again and load them."""
        self._prepare()
        rows = self.ledger.rejected_rows.listed(ids=error_ids, limit=max(len(error_ids), 1))
        names = sorted({row.source_table for row in rows})
        with self._claimed([self.config.table(name).name for name in names], {}) as tick:
            report = tick.replay(rows)
        log_report(report)
        return report

    def stop(self) -> None:
        """Ask a running tick to end after the load unit under way. Safe in a signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        """Give back every connection and lease."""
        self.source.close()
        self.ledger.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pause(self, table: TableConfig) -> float:
        """Seconds since a table's last run before which it is not due. A beat may come a little early."""
        interval = self.config.sync_interval_seconds
        return max(interval * DUE_SHARE, table.every - interval * (1 - DUE_SHARE))

    def _chosen(self, tables: Sequence[str] | None, due_only: bool, wishes: RunOptions = NONE) -> Tick:
        chosen = self.config.select(tables)
        ages = {table.name: self._pause(table) for table in chosen} if due_only else {}
        return self._claimed([table.name for table in chosen], ages, wishes)

    def _claimed(self, names: list[str], ages: Mapping[str, float], wishes: RunOptions = NONE) -> Tick:
        self._prepare()
        run_id = new_run_id()
        claims, refusals = self.ledger.leases.claim(names, run_id=run_id, holder=holder(), min_age=ages)
        return Tick(self._means(), run_id, claims, refusals, wishes)

    def _means(self) -> EngineContext:
        return EngineContext(
            self.config, self.settings, self.ledger, self.source, self.planner, self.observer, self._stop,
            self.stagings,
        )  # fmt: skip

    def _prepare(self) -> None:
        if self._migrated:
            return
        self.ledger.migrate()
        sweep_spool()
        for warning in (*self.settings.snowflake.warnings, *self._bucket_warnings()):
            logger().warning(warning)
        self._migrated = True

    def _bucket_warnings(self) -> tuple[str, ...]:
        used = any(table.load is LoadMethod.S3 for table in self.config.enabled)
        return self.settings.s3.warnings if used and self.settings.s3 is not None else ()


def holder() -> str:
    """Who we are, for the one who finds a table taken."""
    return f"{socket.gethostname()}:{os.getpid()}"
