"""One tick over the claimed tables: look at all of them in Postgres, settle the idle ones, sync the busy ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import psycopg

from pgsnow.ledger.store import Claim, ErrorRow, Refusal
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import LeaseLost, PgsnowError, SchemaMoved, ShuttingDown
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.postgres.discover import fingerprints
from pgsnow.postgres.horizon import take_horizon
from pgsnow.postgres.probe import idle_checkpoint
from pgsnow.sync.due import is_due
from pgsnow.sync.heartbeat import Heartbeat
from pgsnow.sync.held import held
from pgsnow.sync.log import logger
from pgsnow.sync.look import Look, look_at
from pgsnow.sync.means import Connections, Means
from pgsnow.sync.planning import target_of
from pgsnow.sync.progress import Progress
from pgsnow.sync.wishes import Wishes

if TYPE_CHECKING:
    from pgsnow.sync.keys import Key
    from pgsnow.sync.table_run import TableRun

PLANS_A_TICK = 4
"""How often a table is planned at most in one tick, while others keep altering it."""

L = TypeVar("L", Claim, Look)
R = TypeVar("R")


class Tick:
    """One use: `with Tick(…) as tick: tick.run(…)`. Every claim given to it is recorded and released."""

    def __init__(
        self,
        means: Means,
        run_id: str,
        claims: Sequence[Claim],
        refusals: Sequence[Refusal],
        wishes: Wishes,
    ) -> None:
        self._means = means
        self._run_id = run_id
        self._claims = claims
        self._wishes = wishes
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._connections = Connections(means.source)
        self._pool = ThreadPoolExecutor(means.config.parallel_tables, thread_name_prefix="pgsnow-table")
        self._heartbeat = Heartbeat(means.ledger, claims)
        self._progress = {claim.table: self._new_progress(claim.table) for claim in claims}
        self._reports = {
            refusal.table: held(refusal, self._new_progress(refusal.table)) for refusal in refusals
        }

    def __enter__(self) -> Tick:
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._heartbeat.__exit__(kind, error, trace)
        self._connections.close()
        self._means.ledger.release([claim for claim in self._claims if claim.table not in self._reports])

    def run(self) -> SyncReport:
        """Sync every claimed table."""
        found = self._look()
        if found is not None:
            horizon, looks = found
            self._settle([look for look in looks if not self._is_busy(look)], horizon)
            self._each(
                [look for look in looks if self._is_busy(look)], lambda look: self._sync(look, horizon)
            )
        return self._report()

    def triage(self) -> tuple[SyncReport, list[Look]]:
        """Settle the idle tables. The busy ones are for others to sync: they are in no report, and given back at the
        end as if nobody had looked."""
        found = self._look()
        if found is None:
            return self._report(), []
        horizon, looks = found
        self._settle([look for look in looks if not self._is_busy(look)], horizon)
        return self._report(), [look for look in looks if self._is_busy(look)]

    def replay(self, rows: Sequence[ErrorRow]) -> SyncReport:
        """Load the rows of these quarantine entries again."""
        found = self._look()
        if found is not None:
            horizon, looks = found
            keys = {
                look.claim.table: [r.key for r in rows if r.source_table == look.claim.table]
                for look in looks
            }
            self._each(looks, lambda look: self._replay(look, horizon, keys[look.claim.table]))
        return self._report()

    def _look(self) -> tuple[Horizon, list[Look]] | None:
        """The horizon, taken before any snapshot of this tick, and a look at each table; None without a source."""
        if not self._claims:
            return None
        try:
            with self._connections.one() as conn:
                horizon = self._horizon(conn)
                sources = [self._means.config.table(claim.table).source for claim in self._claims]
                prints = fingerprints(conn, sources)
        except PgsnowError as error:
            for claim in self._claims:
                self._fail(claim, error)
            return None
        marks = {claim.table: prints.get(source) for claim, source in zip(self._claims, sources, strict=True)}
        return horizon, self._each(self._claims, lambda claim: self._look_at(claim, horizon, marks))

    def _horizon(self, conn: psycopg.Connection) -> Horizon:
        """Saved listings serve roles that may not see other sessions; see pgsnow.postgres.horizon."""
        ledger, name = self._means.ledger, self._means.settings.source.display
        horizon, listing = take_horizon(conn, ledger.virtual_xids(name))
        if listing is not None:
            ledger.save_virtual_xids(name, listing)
        return horizon

    def _look_at(self, claim: Claim, horizon: Horizon, marks: Mapping[str, str | None]) -> Look:
        self._progress[claim.table].tell("started")
        return self._plan_and_look(claim, horizon, marks[claim.table])

    def _plan_and_look(self, claim: Claim, horizon: Horizon, mark: str | None) -> Look:
        progress = self._progress[claim.table]
        with self._connections.one() as conn:
            with progress.timed("plan"):
                config = self._means.config.table(claim.table)
                prepared = self._means.planner.plan(conn, config, mark, claim.known)
            return look_at(claim, prepared, conn, horizon, progress)

    def _look_again(self, claim: Claim, horizon: Horizon, moved: SchemaMoved) -> Look:
        """The table was altered since the look before: plan it as it is now. An older horizon only reads more."""
        self._progress[claim.table].events.append(f"planned again: {moved}")
        source = self._means.config.table(claim.table).source
        with self._connections.one() as conn:
            mark = fingerprints(conn, [source]).get(source)
        return self._plan_and_look(claim, horizon, mark)

    def _is_busy(self, look: Look) -> bool:
        return look.busy or self._wishes.refresh or (bool(look.claim.staged) and self._loads(look))

    def _loads(self, look: Look) -> bool:
        """Is what waits in the stage to be loaded now?"""
        claim = look.claim
        return self._wishes.load or is_due(look.plan.config, claim.staged, claim.staged_at, claim.granted_at)

    def _settle(self, idle: Sequence[Look], horizon: Horizon) -> None:
        """Idle tables move their checkpoint too, or their window would grow; all in one statement."""
        moves = [(k.claim, idle_checkpoint(k.probe, k.plan, k.checkpoint, horizon)) for k in idle]
        known = {k.claim.table: k.drift.to_remember(k.claim.known, k.claim.target_columns) for k in idle}
        sources = {table: source for table, source in known.items() if source is not None}
        try:
            lost = self._means.ledger.advance_idle(moves, sources) if moves else []
        except PgsnowError as error:
            for look in idle:
                self._fail(look.claim, error)
            return
        self._end([(k.claim, self._idle_report(k, lost)) for k in idle])

    def _idle_report(self, look: Look, lost: Sequence[str]) -> TableReport:
        if look.claim.table in lost:
            return look.progress.report(
                Status.HELD, LeaseLost(f"{look.claim.table}: another run took the table")
            )
        return look.progress.report(Status.IDLE)

    def _sync(self, look: Look, horizon: Horizon) -> None:
        from pgsnow.sync.busy import sync_table  # not before there is one

        self._with_run(look, horizon, sync_table)

    def _replay(self, look: Look, horizon: Horizon, keys: Sequence[Key]) -> None:
        from pgsnow.sync.busy import replay_keys

        self._with_run(look, horizon, lambda run: replay_keys(run, keys))

    def _with_run(self, look: Look, horizon: Horizon, action: Callable[[TableRun], None]) -> None:
        """The run; again from the planning on if the table turns out to have been altered since."""
        from pgsnow.sync.busy import Attempt

        for plans in range(1, PLANS_A_TICK + 1):
            with self._connections.one() as conn, Attempt(self._means, look, conn) as attempt:
                try:
                    run = attempt.table_run(horizon, self._wishes, loads=self._loads(look))
                    action(run)
                    break
                except SchemaMoved as moved:
                    if plans == PLANS_A_TICK:
                        raise
                    look = self._look_again(attempt.given_up(), horizon, moved)
        self._end([(look.claim, look.progress.report())])

    def _each(self, items: Sequence[L], action: Callable[[L], R]) -> list[R]:
        """The action on each item, in threads. One that fails is recorded, and left out of the result."""
        results = self._pool.map(lambda item: self._guarded(item, action), items)
        return [result for result in results if result is not None]

    def _guarded(self, item: L, action: Callable[[L], R]) -> R | None:
        claim = item.claim if isinstance(item, Look) else item
        try:
            return action(item)
        except Exception as error:  # one table's failure, whatever it is, leaves the others running
            self._fail(claim, error)
            return None

    def _fail(self, claim: Claim, error: Exception) -> None:
        if not isinstance(error, PgsnowError):
            logger(claim.table, self._run_id).error("unexpected error", exc_info=error)
        self._means.planner.forget(claim.table)
        self._end([(claim, self._progress[claim.table].report(status_after(error), error))])

    def _end(self, runs: Sequence[tuple[Claim, TableReport]]) -> None:
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
                    self._reports[claim.table] = self._progress[claim.table].report(
                        status_after(error), error
                    )
        for claim, report in runs:
            self._progress[claim.table].tell(
                "finished", rows=report.rows_processed, detail=report.status.value
            )

    def _new_progress(self, table: str) -> Progress:
        config = self._means.config.table(table)
        target = str(target_of(config, self._means.settings.snowflake))
        return Progress(table, target, self._run_id, self._means.observer)

    def _report(self) -> SyncReport:
        order = {table.name: at for at, table in enumerate(self._means.config.tables)}
        tables = sorted(self._reports.values(), key=lambda report: order[report.table])
        return SyncReport(self._run_id, self._started_at, time.monotonic() - self._began, tuple(tables))


def status_after(error: Exception) -> Status:
    """How a run ended that this error ended."""
    if isinstance(error, LeaseLost):
        return Status.HELD
    return Status.STOPPED if isinstance(error, ShuttingDown) else Status.ERROR
