"""One tick over the claimed tables: look at all of them in Postgres, settle the idle ones, sync the busy ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pgsnow.ledger.claim import Claim, Refusal
from pgsnow.ledger.rows import ErrorRow
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.errors import LeaseLost, PgsnowError, SchemaMoved
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.postgres.incremental.probe import idle_checkpoint
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.options import RunOptions
from pgsnow.sync.table.inspect import Inspection
from pgsnow.sync.table.load_schedule import is_due
from pgsnow.sync.tick.inspection import TickInspection
from pgsnow.sync.tick.outcomes import TickOutcomes

if TYPE_CHECKING:
    from pgsnow.sync.pipeline.row_keys import Key
    from pgsnow.sync.table.context import RunContext

PLANS_A_TICK = 4
"""How often a table is planned at most in one tick, while others keep altering it."""

L = TypeVar("L", Claim, Inspection)
R = TypeVar("R")


class Tick:
    """One use: `with Tick(…) as tick: tick.run(…)`. Every claim given to it is recorded and released."""

    def __init__(
        self,
        means: EngineContext,
        run_id: str,
        claims: Sequence[Claim],
        refusals: Sequence[Refusal],
        wishes: RunOptions,
    ) -> None:
        self._means = means
        self._run_id = run_id
        self._claims = claims
        self._wishes = wishes
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._connections = Connections(means.source)
        self._pool = ThreadPoolExecutor(means.config.parallel_tables, thread_name_prefix="pgsnow-table")
        self._runs = TickOutcomes(means, run_id, claims, refusals)
        self._looks = TickInspection(means, self._connections, self._runs.progress)

    def __enter__(self) -> Tick:
        self._runs.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._connections.close()
        self._runs.__exit__(kind, error, trace)

    def run(self) -> SyncReport:
        """Sync every claimed table."""
        horizon, busy = self._without_the_idle()
        if horizon is not None:
            self._each(busy, lambda look: self._sync(look, horizon))
        return self._report()

    def triage(self) -> tuple[SyncReport, list[Inspection]]:
        """Settle the idle tables. The busy ones are for others to sync: they are in no report, and given back at the
        end as if nobody had looked."""
        _, busy = self._without_the_idle()
        return self._report(), busy

    def replay(self, rows: Sequence[ErrorRow]) -> SyncReport:
        """Load the rows of these quarantine entries again."""
        horizon, looks = self._look()
        keys = {
            look.claim.table: [r.key for r in rows if r.source_table == look.claim.table] for look in looks
        }
        if horizon is not None:
            self._each(looks, lambda look: self._replay(look, horizon, keys[look.claim.table]))
        return self._report()

    def _look(self) -> tuple[Horizon | None, list[Inspection]]:
        """At each table; no horizon and no look without a source."""
        if not self._claims:
            return None, []
        try:
            horizon, marks = self._looks.outset(self._claims)
        except PgsnowError as error:
            for claim in self._claims:
                self._runs.fail(claim, error)
            return None, []
        return horizon, self._each(
            self._claims, lambda claim: self._looks.at(claim, horizon, marks[claim.table])
        )

    def _without_the_idle(self) -> tuple[Horizon | None, list[Inspection]]:
        """The busy tables; the others are settled."""
        horizon, looks = self._look()
        if horizon is not None:
            self._settle([look for look in looks if not self._is_busy(look)], horizon)
        return horizon, [look for look in looks if self._is_busy(look)]

    def _is_busy(self, look: Inspection) -> bool:
        return look.busy or self._wishes.refresh or (bool(look.claim.staged) and self._loads(look))

    def _loads(self, look: Inspection) -> bool:
        """Is what waits in the stage to be loaded now?"""
        claim = look.claim
        return self._wishes.load or is_due(look.plan.config, claim.staged, claim.staged_at, claim.granted_at)

    def _settle(self, idle: Sequence[Inspection], horizon: Horizon) -> None:
        """Idle tables move their checkpoint too, or their window would grow; all in one statement."""
        moves = [(k.claim, idle_checkpoint(k.probe, k.plan, k.checkpoint, horizon)) for k in idle]
        known = {
            k.claim.table: k.drift.to_remember(k.claim.stored_definition, k.claim.target_columns)
            for k in idle
        }
        sources = {table: source for table, source in known.items() if source is not None}
        try:
            lost = self._means.ledger.checkpoints.advance_idle(moves, sources) if moves else []
        except PgsnowError as error:
            for look in idle:
                self._runs.fail(look.claim, error)
            return
        self._runs.end([(k.claim, _idle_report(k, lost)) for k in idle])

    def _sync(self, look: Inspection, horizon: Horizon) -> None:
        from pgsnow.sync.table.busy import sync_table  # not before there is one

        self._with_run(look, horizon, sync_table)

    def _replay(self, look: Inspection, horizon: Horizon, keys: Sequence[Key]) -> None:
        from pgsnow.sync.table.busy import replay_keys

        self._with_run(look, horizon, lambda run: replay_keys(run, keys))

    def _with_run(self, look: Inspection, horizon: Horizon, action: Callable[[RunContext], None]) -> None:
        """The run; again from the planning on if the table turns out to have been altered since."""
        from pgsnow.sync.table.busy import Attempt

        for plans in range(1, PLANS_A_TICK + 1):
            with self._connections.one() as conn, Attempt(self._means, look, conn) as attempt:
                try:
                    run = attempt.table_run(horizon, self._wishes, loads=self._loads(look))
                    action(run)
                    break
                except SchemaMoved as moved:
                    if plans == PLANS_A_TICK:
                        raise
                    look = self._looks.again(attempt.given_up(), horizon, moved)
        self._runs.end([(look.claim, look.progress.report())])

    def _each(self, items: Sequence[L], action: Callable[[L], R]) -> list[R]:
        """The action on each item, in threads. One that fails is recorded, and left out of the result."""
        results = self._pool.map(lambda item: self._guarded(item, action), items)
        return [result for result in results if result is not None]

    def _guarded(self, item: L, action: Callable[[L], R]) -> R | None:
        claim = item.claim if isinstance(item, Inspection) else item
        try:
            return action(item)
        except Exception as error:  # one table's failure, whatever it is, leaves the others running
            self._runs.fail(claim, error)
            return None

    def _report(self) -> SyncReport:
        seconds = time.monotonic() - self._began
        return SyncReport(self._run_id, self._started_at, seconds, self._runs.reports())


def _idle_report(look: Inspection, lost: Sequence[str]) -> TableReport:
    if look.claim.table in lost:
        error = LeaseLost(f"{look.claim.table}: another run took the table")
        return look.progress.report(Status.HELD, error)
    return look.progress.report(Status.IDLE)
