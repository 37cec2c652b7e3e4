"""`pgsnow apply`: sends the DDL that targets need. Rows are loaded by the next run."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.owner import Place
from pgsnow.model.plan import TablePlan
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.snowflake.schema.storage import clustering_changes
from pgsnow.snowflake.schema.target_table import target_state
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.session_pool import SessionPool
from pgsnow.sync.engine import holder
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.load.target import Target
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.log import log_unexpected
from pgsnow.sync.runtime.owner import placed
from pgsnow.sync.runtime.planner import prepare, target_of
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.runtime.report import failure_report, refused_report, table_report


def apply(config: SyncConfig, settings: Settings, names: Sequence[str]) -> SyncReport:
    """Create or alter the targets of these tables for the source's current definition.

    Returns one report for each table, whose events name the DDL that was sent. A table is claimed as by a run; if
    another run holds it, its status is LOCKED. A table that fails does not affect the others. Idempotent. sync_logs
    gets a row with status `applied`; checkpoints stay unchanged. The next tick tries a table that had
    failed. Raises ConfigError for an unknown table, SourceUnavailable, LedgerUnavailable, LedgerAccessDenied.
    """
    began, started_at, run_id = time.monotonic(), datetime.now(UTC), uuid.uuid4().hex[:16]
    chosen = [table.name for table in config.select(names)]
    with ExitStack() as stack:
        source = Source(settings.source)
        stack.callback(source.close)
        ledger = Ledger(settings.ledger, config.ledger_schema)
        stack.callback(ledger.close)
        sessions = SessionPool(settings.snowflake)
        stack.callback(sessions.close)
        ledger.migrate()
        conn = stack.enter_context(source.connect())
        claims, refusals = ledger.leases.claim(chosen, run_id=run_id, holder=holder())
        stack.enter_context(Heartbeat(ledger.leases, claims))
        # Taken once: the check that no transaction is open fails while another thread's query runs.
        work = _Application(config, settings, ledger, sessions, conn, take_horizon(conn)[0])
        reports = [refused_report(work.progress(refusal.table, run_id), refusal) for refusal in refusals]
        with ThreadPoolExecutor(config.parallel_tables, thread_name_prefix="pgsnow-apply") as pool:
            reports += pool.map(work.table, claims)
    reports.sort(key=lambda report: chosen.index(report.table))
    return SyncReport(run_id, started_at, time.monotonic() - began, tuple(reports))


def cluster(session: Session, plan: TablePlan) -> list[str]:
    """Give the existing target the clustering key of the configuration; returns sentences about it. Idempotent."""
    state = target_state(session, plan.target)
    statements = clustering_changes(plan, state) if state else ()
    for statement in statements:
        session.execute(statement)
    return [f"{plan.target} is clustered by {', '.join(plan.clustered)} now" for _ in statements]


class _Application:
    """Services that all tables share. psycopg lets threads share a connection."""

    def __init__(
        self,
        config: SyncConfig,
        settings: Settings,
        ledger: Ledger,
        sessions: SessionPool,
        conn: psycopg.Connection,
        horizon: Horizon,
    ) -> None:
        self._config = config
        self._settings = settings
        self._ledger = ledger
        self._sessions = sessions
        self._conn = conn
        self._horizon = horizon

    def progress(self, table: str, run_id: str) -> Recorder:
        target = str(target_of(self._config.table(table), self._settings.snowflake))
        return Recorder(table, target, run_id)

    def table(self, claim: Claim) -> TableReport:
        """Make the table's target fit, record that in sync_logs, and release the claim."""
        progress = self.progress(claim.table, claim.run_id)
        try:
            self._fit(claim, progress)
            self._ledger.run_log.try_again(claim)
            report = table_report(progress, Status.APPLIED)
        except Exception as error:  # a failure of one table must not stop the others
            if not isinstance(error, PgsnowError):
                log_unexpected(error, self._settings.secrets(), claim.table, claim.run_id)
            report = failure_report(progress, error)
        cost, warehouse = self._config.cost, self._settings.snowflake.warehouse
        self._ledger.run_log.note([(claim, report)], cost=cost, warehouse=warehouse)
        self._ledger.leases.release([claim])
        return report

    def _fit(self, claim: Claim, progress: Recorder) -> None:
        """Make the target fit, as a run does before it reads. The columns that the ledger remembers may be out of date,
        so they are read from the target."""
        config, settings = self._config.table(claim.table), self._settings.snowflake
        drift = prepare(config, describe(self._conn, config.source), settings, claim.stored_definition).drift
        here = Place.at(self._horizon, settings.account, progress.target)
        claim, _ = placed(self._config, claim, here)
        self._ledger.checkpoints.remember_places(claim, claim.places)
        table = ClaimedTable(self._ledger, claim)
        table.remember_target(None)
        session = RunSession(self._sessions, progress, threading.Event())
        target = Target(drift.plan, table, session, progress, approved=True)
        target.evolve(drift)
        target.make_fit(relaxed=drift.replace)
        if drift.plan.clustered:
            progress.events.extend(session.do(lambda session: cluster(session, drift.plan)))
