"""Ends the runs of one tick: records them in the ledger, releases their claims, and collects their reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from pgsnow.ledger.claim import Claim, Refusal
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import PgsnowError, WarehouseUnusable
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.log import log_unexpected
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.runtime.report import failure_report, refused_report

LONGEST_PAUSE = 3_600.0
"""Seconds."""
LOG_PAUSE = 600.0
"""With `mode: log`, whose changes must be staged before the slot no longer waits for the table (`joins.PATIENCE`)."""


def pause_after(failures: int, interval: float, longest: float = LONGEST_PAUSE) -> float | None:
    """Seconds from the start of the last of so many failed runs in a row until scheduled ticks try the table again:
    two intervals after the second one, then twice as long each time, at most `longest`. None: the next tick tries it.
    """
    return None if failures < 2 else min(interval * 2.0 ** min(failures - 1, 30), longest)


class TickOutcomes:
    """The recorder of each table, and the report of each run that has ended. Thread-safe."""

    def __init__(
        self,
        context: EngineContext,
        run_id: str,
        claims: Sequence[Claim],
        refusals: Sequence[Refusal],
        heartbeat: Heartbeat,
    ) -> None:
        self._context = context
        self._run_id = run_id
        self._claims = claims
        self._heartbeat = heartbeat
        names = [claim.table for claim in claims] + [refusal.table for refusal in refusals]
        self.recorders = {
            name: Recorder(name, context.targets[name], run_id, context.observer) for name in names
        }
        self._reports = {
            refusal.table: refused_report(self.recorders[refusal.table], refusal) for refusal in refusals
        }

    def fail(self, claim: Claim, error: Exception) -> None:
        """Record a run that ended with this error. An unexpected error's traceback goes to the log."""
        if not isinstance(error, PgsnowError):
            log_unexpected(error, self._context.settings.secrets(), claim.table, self._run_id)
        self._context.planner.forget(claim.table)
        if isinstance(error, PgsnowError) and error.code is not None:
            error = self._explained(claim, error)
        report = failure_report(self.recorders[claim.table], error)
        in_log = self._context.config.table(claim.table).mode is TableMode.LOG
        # A refused warehouse costs nothing, and meanwhile each tick stages what the log shows, which frees the slot.
        waits = getattr(error, "backs_off", True) and not (in_log and isinstance(error, WarehouseUnusable))
        if report.status is Status.ERROR and waits:
            entry = self._context.entries[claim.table]
            count = 1 + (claim.lasting_failures if claim.failed_entry == entry else 0)
            longest = LOG_PAUSE if in_log else LONGEST_PAUSE
            seconds = pause_after(count, self._context.config.sync_interval_seconds, longest)
            report = replace(report, retry_seconds=seconds, lasting_failures=count, failed_entry=entry)
        self.end([(claim, report)])

    def _explained(self, claim: Claim, error: PgsnowError) -> PgsnowError:
        """The error with the advice that the source's catalog gives; the error itself if it cannot be asked."""
        from pgsnow.postgres.catalog.obstacles import explained  # a failure is rare

        config = self._context.config.table(claim.table)
        try:
            with closing(self._context.source.connect()) as conn:
                return explained(conn, config.source, error, config.where)
        except PgsnowError:
            return error

    def end(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """Record these runs and release their claims. If that fails in the ledger, the reports say so, and the
        checkpoints stay where they were."""
        for claim, report in runs:
            self._heartbeat.forget(claim)
            self._reports[claim.table] = report
        try:
            cost, warehouse = self._context.config.cost, self._context.settings.snowflake.warehouse
            try:
                credits = self._context.ledger.run_log.finish(runs, cost=cost, warehouse=warehouse)
            finally:
                self._context.ledger.leases.release([claim for claim, _ in runs])
            for claim, report in runs:
                if spent := credits.get(claim.table):
                    self._reports[claim.table] = replace(report, credits=spent)
        except PgsnowError as error:
            for claim, report in runs:
                if report.ok:
                    self._reports[claim.table] = failure_report(self.recorders[claim.table], error)
        for claim, report in runs:
            self.recorders[claim.table].tell(
                "finished", rows=report.rows_processed, detail=report.status.value
            )

    def leave(self, claim: Claim, report: TableReport) -> None:
        """Report a table that this tick leaves alone; nothing is recorded, and its claim is released."""
        self._heartbeat.forget(claim)
        self._reports[claim.table] = report
        self._context.ledger.leases.release([claim])

    def release_rest(self) -> None:
        """Release the claims of tables without a report, as if they had not been inspected."""
        self._context.ledger.leases.release(
            [claim for claim in self._claims if claim.table not in self._reports]
        )

    def reports(self) -> tuple[TableReport, ...]:
        """The reports so far, including those of tables that were not granted, in the order of the configuration."""
        order = {table.name: index for index, table in enumerate(self._context.config.tables)}
        return tuple(sorted(self._reports.values(), key=lambda report: order[report.table]))
