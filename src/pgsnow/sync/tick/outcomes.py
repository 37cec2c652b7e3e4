"""The runs of one tick, a table each: how they get on, and how they ended: recorded, given back, reported."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from pgsnow.ledger.interface import Claim, Refusal
from pgsnow.model.errors import LeaseLost, PgsnowError, ShuttingDown
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.log import log_unexpected
from pgsnow.sync.runtime.planner import target_of
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.tick.held import held


class TickOutcomes:
    """A context manager: the claims are kept alive in it, and those whose runs have not ended are given back at its
    end as if nobody had looked. Any thread may call."""

    def __init__(
        self, means: EngineContext, run_id: str, claims: Sequence[Claim], refusals: Sequence[Refusal]
    ) -> None:
        self._means = means
        self._run_id = run_id
        self._claims = claims
        self._heartbeat = Heartbeat(means.ledger, claims)
        self.progress = {claim.table: self._new_progress(claim.table) for claim in claims}
        self._reports = {
            refusal.table: held(refusal, self._new_progress(refusal.table)) for refusal in refusals
        }

    def __enter__(self) -> TickOutcomes:
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)
        self._means.ledger.release([claim for claim in self._claims if claim.table not in self._reports])

    def fail(self, claim: Claim, error: Exception) -> None:
        if not isinstance(error, PgsnowError):
            log_unexpected(error, self._means.settings.secrets(), claim.table, self._run_id)
        self._means.planner.forget(claim.table)
        self.end([(claim, self.progress[claim.table].report(status_after(error), error))])

    def end(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
        """Record and release. If even that fails the report says so; the checkpoint stands where it was."""
        for claim, report in runs:
            self._heartbeat.forget(claim)
            self._reports[claim.table] = report
        try:
            self._means.ledger.finish(runs)
            self._means.ledger.release([claim for claim, _ in runs])
        except PgsnowError as error:
            for claim, report in runs:
                if report.ok:
                    self._reports[claim.table] = self.progress[claim.table].report(status_after(error), error)
        for claim, report in runs:
            self.progress[claim.table].tell(
                "finished", rows=report.rows_processed, detail=report.status.value
            )

    def reports(self) -> tuple[TableReport, ...]:
        """Of all that have ended or were refused, in the order of the table list."""
        order = {table.name: at for at, table in enumerate(self._means.config.tables)}
        return tuple(sorted(self._reports.values(), key=lambda report: order[report.table]))

    def _new_progress(self, table: str) -> Recorder:
        config = self._means.config.table(table)
        target = str(target_of(config, self._means.settings.snowflake))
        return Recorder(table, target, self._run_id, self._means.observer)


def status_after(error: Exception) -> Status:
    """How a run ended that this error ended."""
    if isinstance(error, LeaseLost):
        return Status.HELD
    return Status.STOPPED if isinstance(error, ShuttingDown) else Status.ERROR
