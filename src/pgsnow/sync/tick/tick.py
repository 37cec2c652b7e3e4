"""One tick over the claimed tables: inspects all of them in Postgres, completes the idle ones, runs the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pgsnow.ledger.claim import Claim, Refusal
from pgsnow.ledger.rows import ErrorRow
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.options import Consistency
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import LeaseLost, LogUnusable, PgsnowError, SchemaMoved
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.sync.runtime.context import Connections, EngineContext, RunOptions
from pgsnow.sync.runtime.heartbeat import Heartbeat
from pgsnow.sync.runtime.report import failure_report, table_report
from pgsnow.sync.table.inspect import Inspection, Inspector
from pgsnow.sync.table.load_schedule import is_due
from pgsnow.sync.tick.outcomes import TickOutcomes

if TYPE_CHECKING:
    from pgsnow.sync.pipeline.row_keys import Key
    from pgsnow.sync.table.comparison.repair import RepairOrder
    from pgsnow.sync.table.context import RunContext, TableOutcome

PLANS_A_TICK = 4
"""How many times one tick plans a table at most, if other sessions keep altering it."""

Item = TypeVar("Item", Claim, Inspection)
Result = TypeVar("Result")


@contextmanager
def open_tick(
    context: EngineContext,
    run_id: str,
    claims: Sequence[Claim],
    refusals: Sequence[Refusal],
    options: RunOptions,
) -> Iterator[Tick]:
    """A tick for one use. Its claims are renewed while it is open, and all of them are released at its end."""
    with ExitStack() as stack:
        heartbeat = Heartbeat(context.ledger.leases, claims)
        outcomes = TickOutcomes(context, run_id, claims, refusals, heartbeat)
        stack.callback(outcomes.release_rest)
        stack.enter_context(heartbeat)
        connections = Connections(context.source)
        stack.callback(connections.close)
        pool = ThreadPoolExecutor(context.config.parallel_tables, thread_name_prefix="pgsnow-table")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        log = None
        if any(context.config.table(claim.table).mode is TableMode.LOG for claim in claims):
            from pgsnow.sync.stream.log_tick import LogTick  # for tables with `mode: log`

            log = LogTick(
                context, connections, run_id, reads=not (options.refresh or options.duplicates_only)
            )
            stack.callback(log.close)
        inspector = Inspector(
            context, connections, outcomes.recorders, options.take_over, options.confirm_deletes, log
        )
        first = claims[0] if claims else refusals[0] if refusals else None
        has_requests = first is not None and first.has_requests
        yield Tick(context, run_id, claims, options, connections, pool, outcomes, inspector, has_requests)


@dataclass(frozen=True, slots=True)
class Tick:
    """Created by `open_tick`. Call one of `run`, `triage` and `replay`, once."""

    context: EngineContext
    run_id: str
    claims: Sequence[Claim]
    options: RunOptions
    connections: Connections
    pool: ThreadPoolExecutor
    outcomes: TickOutcomes
    inspector: Inspector
    has_requests: bool = False
    """A person's requests wait for a worker (see pgsnow.ledger.requests)."""
    began: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self) -> SyncReport:
        """Sync every claimed table, each changed one in a thread of its own."""
        horizon, changed = self._find_changed()
        if horizon is not None:
            self.context.busy[self.run_id] = len(changed)
            if self.context.config.consistency is Consistency.TICK:
                from pgsnow.sync.tick.together import run_together

                changed = run_together(self, horizon, changed)
            self._each(partial(self._run_table, horizon), changed)
            del self.context.busy[self.run_id]
        return self._report()

    def triage(self) -> tuple[SyncReport, list[Inspection]]:
        """Complete the idle tables, load the changes that were read from the log, and return the inspections of the
        others. These are in no report, and their claims are released at the end as if they had not been inspected."""
        horizon, changed = self._find_changed()
        if horizon is not None and self.context.config.consistency is Consistency.TICK:
            from pgsnow.sync.tick.together import run_together

            changed = run_together(self, horizon, changed)
        streamed = [found for found in changed if found.log is not None]
        if horizon is not None and streamed:  # the log is read by one process
            self._each(partial(self._run_table, horizon), streamed)
        return self._report(), [found for found in changed if found.log is None]

    def replay(self, rows: Sequence[ErrorRow]) -> SyncReport:
        """Load the rows of these sync_errors entries again."""
        keys: dict[str, list[Key]] = {claim.table: [] for claim in self.claims}
        for row in rows:
            if row.source_table in keys:
                keys[row.source_table].append(row.key)
        from pgsnow.sync.table.replay import replay_keys

        return self._each_run(lambda run: replay_keys(run, keys[run.claim.table]))

    def repair(self, orders: Mapping[str, RepairOrder]) -> SyncReport:
        """Repair these rows of the claimed tables, by table."""
        from pgsnow.sync.table.comparison.repair import repair_rows

        return self._each_run(lambda run: repair_rows(run, orders[run.claim.table]))

    def _each_run(self, action: Callable[[RunContext], TableOutcome]) -> SyncReport:
        """Inspect every claimed table, and do this in its run in place of a sync."""
        horizon, inspections = self._inspect_all()
        if horizon is not None:
            self._each(partial(self._run_table, horizon, action=action), inspections)
        return self._report()

    def _inspect_all(self) -> tuple[Horizon | None, list[Inspection]]:
        """The horizon, and the inspection of each table; nothing if the source cannot be reached."""
        if not self.claims:
            return None, []
        try:
            horizon, fingerprints = self.inspector.take_horizon(self.claims)
        except PgsnowError as error:
            for claim in self.claims:
                self.outcomes.fail(claim, error)
            return None, []
        inspect = self.inspector.inspect
        return horizon, self._each(lambda c: inspect(c, horizon, fingerprints[c.table]), self.claims)

    def _find_changed(self) -> tuple[Horizon | None, list[Inspection]]:
        """The horizon, and the inspections of the tables that must be run; the idle ones are completed."""
        horizon, inspections = self._inspect_all()
        if self.context.config.budget is not None and not (self.options.refresh or self.options.load):
            from pgsnow.sync.tick.budget import paced  # where there is a budget

            whole = self.outcomes.recorders.keys() >= {table.name for table in self.context.config.enabled}
            pace = paced(self.context, self.run_id, inspections, whole=whole)
            inspections = pace.inspections
            for left, report in pace.left:
                self.outcomes.leave(left.claim, report)
        changed: list[Inspection] = []
        idle: list[Inspection] = []
        for found in inspections:
            (changed if self._is_to_run(found) else idle).append(found)
        if horizon is not None and idle:
            self._advance_idle(idle, horizon)
        return horizon, changed

    def _advance_idle(self, idle: Sequence[Inspection], horizon: Horizon) -> None:
        """Move the checkpoints of idle tables with one statement, because their windows would grow otherwise."""
        moves = [(k.claim, k.idle_checkpoint(horizon)) for k in idle]
        known = {
            k.claim.table: k.drift.definition_to_store(k.claim.stored_definition, k.claim.target_columns)
            for k in idle
        }
        sources = {table: source for table, source in known.items() if source is not None}
        try:
            lost = self.context.ledger.checkpoints.advance_idle(moves, sources)
        except PgsnowError as error:
            for found in idle:
                self.outcomes.fail(found.claim, error)
            return
        if self.inspector.log is not None:
            self.inspector.log.staged(*(found.claim.table for found in idle))
        self.outcomes.end([(found.claim, _idle_report(found, lost)) for found in idle])

    def _is_to_run(self, found: Inspection) -> bool:
        if found.has_changes or self.options.refresh or self.options.duplicates_only:
            return True
        return bool(found.claim.staged) and self._loads_staged(found)

    def _loads_staged(self, found: Inspection) -> bool:
        """True if staged batches must be loaded in this tick."""
        claim = found.claim
        if self.options.load or not claim.staged:
            return self.options.load
        if found.loads is not None:
            return found.loads
        return is_due(found.plan.config, claim.staged, claim.staged_at, claim.granted_at)

    def _run_table(
        self,
        horizon: Horizon,
        found: Inspection,
        action: Callable[[RunContext], TableOutcome] | None = None,
    ) -> None:
        """One table's sync, or this action in its run; it is planned again if the table was altered meanwhile."""
        # imports Arrow and the Snowflake connector, which an idle tick does not need
        from pgsnow.sync.table.context import open_run, retry_claim
        from pgsnow.sync.table.run import sync_table

        for plans in range(1, PLANS_A_TICK + 1):
            loads = self._loads_staged(found)
            with (
                self.connections.one() as conn,
                open_run(self.context, found, conn, horizon, self.options, loads_staged=loads) as run,
            ):
                try:
                    outcome = (action or sync_table)(run)
                    break
                except (SchemaMoved, LogUnusable) as moved:
                    if plans == PLANS_A_TICK:
                        raise
                    found = self.inspector.inspect_again(retry_claim(run), horizon, moved)
        report = table_report(found.recorder, left=outcome.remaining, backfilled=outcome.backfilled)
        self.outcomes.end([(found.claim, report)])

    def _each(self, action: Callable[[Item], Result | None], items: Sequence[Item]) -> list[Result]:
        """The action's results, in order, computed by threads. An item whose action fails is recorded and left out."""
        results = self.pool.map(partial(self._guarded, action), items)
        return [result for result in results if result is not None]

    def _guarded(self, action: Callable[[Item], Result], item: Item) -> Result | None:
        claim = item.claim if isinstance(item, Inspection) else item
        self.outcomes.recorders[claim.table].clock.attach()
        try:
            return action(item)
        except Exception as error:  # a failure of one table, of any kind, must not stop the others
            self.outcomes.fail(claim, error)
            return None

    def _report(self) -> SyncReport:
        seconds = time.monotonic() - self.began
        return SyncReport(self.run_id, self.started_at, seconds, self.outcomes.reports())


def _idle_report(found: Inspection, lost: Sequence[str]) -> TableReport:
    """lost: tables that another run claimed before the checkpoint could be moved."""
    if found.claim.table in lost:
        return failure_report(found.recorder, LeaseLost(f"{found.claim.table}: another run took the table"))
    return table_report(found.recorder, Status.IDLE)
