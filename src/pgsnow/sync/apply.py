"""Making targets fit, and nothing else: what `pgsnow apply` does. Rows are loaded by the next run."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import psycopg

from pgsnow.ledger.postgres import PostgresLedger
from pgsnow.ledger.store import Claim, Ledger
from pgsnow.model.config import SyncConfig
from pgsnow.model.drift import Drift, TargetAction, drift_of
from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.model.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.postgres.discover import describe
from pgsnow.snowflake.connection import Session
from pgsnow.snowflake.evolve import evolve, outlook
from pgsnow.snowflake.schema import describe as describe_target
from pgsnow.snowflake.schema import ensure_target
from pgsnow.sync.engine import holder
from pgsnow.sync.events import ignore
from pgsnow.sync.heartbeat import Heartbeat
from pgsnow.sync.held import held
from pgsnow.sync.log import logger
from pgsnow.sync.planning import prepare, target_of
from pgsnow.sync.progress import Progress
from pgsnow.sync.retry import with_retries
from pgsnow.sync.sessions import Sessions
from pgsnow.sync.tick import status_after


def apply(config: SyncConfig, settings: Settings, names: Sequence[str]) -> SyncReport:
    """Send what these tables' targets need, as the source is now; one report a table, its events say what was sent.

    Each table is claimed as a run claims it: one that another run has is left to it (HELD). A table that fails leaves
    the others. Idempotent. What was done is in sync_logs (status `applied`); how far the table is read is left as it
    was. Raises ConfigError for an unknown table, SourceUnavailable, LedgerUnavailable, LedgerAccessDenied.
    """
    began, started_at, run_id = time.monotonic(), datetime.now(UTC), uuid.uuid4().hex[:16]
    chosen = [table.name for table in config.select(names)]
    with ExitStack() as stack:
        source = Source(settings.source)
        stack.callback(source.close)
        ledger = PostgresLedger(settings.ledger, config.ledger_schema)
        stack.callback(ledger.close)
        ledger.migrate()
        conn = stack.enter_context(source.connect())
        claims, refusals = ledger.claim(chosen, run_id=run_id, holder=holder())
        stack.enter_context(Heartbeat(ledger, claims))
        sessions = Sessions(settings.snowflake, f"pgsnow:apply:{run_id}")
        stack.callback(sessions.close)
        work = _Application(config, settings, ledger, conn, sessions)
        reports = [held(refusal, work.progress(refusal.table, run_id)) for refusal in refusals]
        with ThreadPoolExecutor(config.parallel_tables, thread_name_prefix="pgsnow-apply") as pool:
            reports += pool.map(work.table, claims)
    reports.sort(key=lambda report: chosen.index(report.table))
    return SyncReport(run_id, started_at, time.monotonic() - began, tuple(reports))


class _Application:
    """What all tables share. psycopg lets threads share a connection."""

    def __init__(
        self,
        config: SyncConfig,
        settings: Settings,
        ledger: Ledger,
        conn: psycopg.Connection,
        sessions: Sessions,
    ) -> None:
        self._config = config
        self._settings = settings
        self._ledger = ledger
        self._conn = conn
        self._sessions = sessions

    def progress(self, table: str, run_id: str) -> Progress:
        target = str(target_of(self._config.table(table), self._settings.snowflake))
        return Progress(table, target, run_id, ignore)

    def table(self, claim: Claim) -> TableReport:
        """Done, noted and released."""
        progress = self.progress(claim.table, claim.run_id)
        try:
            self._fit(claim, progress)
            report = progress.report(Status.APPLIED)
        except Exception as error:  # one table's failure, whatever it is, leaves the others
            if not isinstance(error, PgsnowError):
                logger(claim.table, claim.run_id).error("unexpected error", exc_info=error)
            report = progress.report(status_after(error), error)
        self._ledger.note([(claim, report)])
        self._ledger.release([claim])
        return report

    def _fit(self, claim: Claim, progress: Progress) -> None:
        table = self._config.table(claim.table)
        plan = prepare(table, describe(self._conn, table.source), self._settings.snowflake).plan
        drift = drift_of(claim.known, plan)
        with_retries(lambda: self._send(claim, drift, progress), threading.Event())

    def _send(self, claim: Claim, drift: Drift, progress: Progress) -> None:
        with self._sessions.one() as session:
            self._send_over(session, claim, drift, progress)

    def _send_over(self, session: Session, claim: Claim, drift: Drift, progress: Progress) -> None:
        """As a run does it, with what the ledger must know before each step."""
        self._ledger.remember_target(claim, None)
        self._evolve(session, claim, drift, drift.parting, progress)
        if drift.parted is not None:
            self._ledger.remember_source(claim, drift.parted)
        self._evolve(session, claim, drift, drift.actions, progress)
        plan = drift.plan
        columns, events = ensure_target(
            session, plan.target, plan.output, plan.key, None, lambda: self._read_all(claim)
        )
        progress.events.extend(events)
        self._ledger.remember_target(claim, columns)

    def _evolve(
        self,
        session: Session,
        claim: Claim,
        drift: Drift,
        actions: Sequence[TargetAction],
        progress: Progress,
    ) -> None:
        target = drift.plan.target
        there = describe_target(session, target) if actions else None
        if there is None:
            return
        if outlook(target, actions, there).incomplete is not None:
            self._read_all(claim)
        evolved = evolve(session, target, actions, there)
        progress.events.extend(evolved.events if evolved is not None else ())

    def _read_all(self, claim: Claim) -> None:
        """What was loaded is not in the target, or will not be in the column: without a checkpoint the next run reads
        everything. The ledger knows before the target looks as if nothing were missing."""
        if claim.checkpoint is not None:
            self._ledger.forget(claim)
