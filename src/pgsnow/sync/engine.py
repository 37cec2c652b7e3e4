"""One tick: claim what is due, find out in Postgres what is busy, sync that, and remember."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType

from pgsnow.ledger.postgres import PostgresLedger
from pgsnow.ledger.store import Ledger
from pgsnow.model.config import LoadMethod, SyncConfig, TableConfig
from pgsnow.model.report import SyncReport
from pgsnow.model.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.stagings import Stagings
from pgsnow.sync.events import Observer, ignore
from pgsnow.sync.log import log_report, logger
from pgsnow.sync.means import Means
from pgsnow.sync.planning import Planner
from pgsnow.sync.spool import sweep_spool
from pgsnow.sync.tick import Tick

DUE_SHARE = 0.8
"""Of the interval: a table that ran less long ago is not due. Beats drift; a second beat must change nothing."""


class Engine:
    """Keeps what outlives a tick: the configuration, the ledger, connections, plans. One a process; make it after a
    fork. `tick` may be called again and again, from one thread at a time; `stop` from anywhere."""

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
        self.ledger: Ledger = ledger or PostgresLedger(settings.ledger, config.ledger_schema)
        self.source = Source(settings.source)
        self.observer = observer
        self.planner = Planner(settings.snowflake)
        self.stagings = Stagings.of(settings)
        self._stop = threading.Event()
        self._migrated = False

    def tick(
        self,
        tables: Sequence[str] | None = None,
        *,
        due_only: bool = False,
        full_refresh: bool = False,
        resync: bool = False,
        load: bool = False,
    ) -> SyncReport:
        """Sync these tables (all enabled ones by default), each as far as Postgres has committed now.

        full_refresh: read everything, and delete what the source no longer has. resync: the same, but the target keeps
        what it has until all of it is there, and then has that alone, at once. load: tables with `load_every` too are
        loaded now, with all that waits.
        A failed table is in the report and leaves the others running. Raises ConfigError for an unknown table,
        LedgerUnavailable or LedgerAccessDenied when nothing could be claimed.
        """
        chosen = self.config.select(tables)
        ages = {table.name: self._pause(table) for table in chosen} if due_only else {}
        with self._claimed([table.name for table in chosen], ages, full_refresh, resync, load) as tick:
            report = tick.run()
        self.ledger.purge_logs(self.config.log_retention_days)
        log_report(report)
        return report

    def replay(self, error_ids: Sequence[int]) -> SyncReport:
        """Read the rows of these open quarantine entries from the source again and load them."""
        self._prepare()
        rows = self.ledger.errors(ids=error_ids, limit=max(len(error_ids), 1))
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

    def _claimed(
        self,
        names: list[str],
        ages: Mapping[str, float],
        refresh: bool = False,
        resync: bool = False,
        load: bool = False,
    ) -> Tick:
        self._prepare()
        run_id = uuid.uuid4().hex[:16]
        claims, refusals = self.ledger.claim(names, run_id=run_id, holder=holder(), min_age=ages)
        means = Means(
            self.config, self.settings, self.ledger, self.source, self.planner, self.observer, self._stop,
            self.stagings,
        )  # fmt: skip
        return Tick(means, run_id, claims, refusals, refresh=refresh, resync=resync, load=load)

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
