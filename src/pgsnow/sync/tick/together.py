"""`consistency: tick`: the tables whose changes were read from the log are staged side by side, and loaded in one
transaction. Imported only for that.

The slot is freed as soon as all are staged, before anything is loaded. A table that cannot be loaded with the others is
loaded on its own afterwards, and the tick's row names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import LogUnusable, PgsnowError, SchemaMoved
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.report import Status
from pgsnow.sync.runtime.context import Connections, EngineContext, RunOptions
from pgsnow.sync.runtime.planner import target_of
from pgsnow.sync.runtime.report import table_report
from pgsnow.sync.table.context import RunContext, open_run, retry_claim
from pgsnow.sync.table.deferred_load import load_waiting
from pgsnow.sync.table.inspect import Inspection, Inspector
from pgsnow.sync.table.joint.together import load_runs_together
from pgsnow.sync.table.run import complete
from pgsnow.sync.table.streaming.changes import stage_log
from pgsnow.sync.tick.outcomes import TickOutcomes

Item = TypeVar("Item", Claim, Inspection)
Result = TypeVar("Result")

NOT_SYNCED = "it was not synced in this tick"
WITHOUT_LOG = "it is read without the log"
AHEAD = "its rows are newer than what was read from the log"


class TickParts(Protocol):
    """The parts of a Tick that this module uses."""

    @property
    def context(self) -> EngineContext: ...
    @property
    def run_id(self) -> str: ...
    @property
    def options(self) -> RunOptions: ...
    @property
    def connections(self) -> Connections: ...
    @property
    def outcomes(self) -> TickOutcomes: ...
    @property
    def inspector(self) -> Inspector: ...
    def _loads_staged(self, found: Inspection) -> bool: ...
    def _each(self, action: Callable[[Item], Result | None], items: Sequence[Item]) -> list[Result]: ...
    def _guarded(self, action: Callable[[Item], Result], item: Item) -> Result | None: ...


def run_together(tick: TickParts, horizon: Horizon, changed: Sequence[Inspection]) -> list[Inspection]:
    """Run the tables among these that are read from the log; returns the others, which are run as usual."""
    streamed = [found for found in changed if found.log is not None and found.sweep is None]
    others = [found for found in changed if found.log is None or found.sweep is not None]
    staged = tick._each(partial(_stage, tick, horizon), streamed)
    ready = [found for found in staged if found.log is not None]
    others += [found for found in staged if found.log is None]
    failed = _load(
        tick, horizon, ready, [found for found in others if found.plan.config.mode is TableMode.LOG]
    )
    return [found for found in others if found not in failed]


def _stage(tick: TickParts, horizon: Horizon, found: Inspection) -> Inspection | None:
    """Stage one table's changes; returns its inspection with the claim as it is then; without `log` if it cannot be
    read from it. None: the table's run has ended, and its changes are loaded later."""
    log, loads = found.log, found.plan.config.load_every <= 0 or tick._loads_staged(found)
    assert log is not None
    with (
        tick.connections.one() as conn,
        open_run(tick.context, found, conn, horizon, tick.options, loads_staged=loads) as run,
    ):
        try:
            stage_log(run, log)
        except (SchemaMoved, LogUnusable) as moved:
            return tick.inspector.inspect_again(retry_claim(run), horizon, moved)
        staged = replace(found, claim=run.claim)
        if loads:
            return staged
        _finish(tick, run, None, staged)
        return None


def _load(
    tick: TickParts, horizon: Horizon, ready: Sequence[Inspection], others: Sequence[Inspection]
) -> Sequence[Inspection]:
    """Load what these tables have staged, and end their runs. others: with `mode: log`, which run afterwards. Returns
    those of them whose runs have failed, because the tick's row could not be written."""
    changing = [found for found in others if found.claim.checkpoint is not None]
    if not ready and not changing:
        return ()
    row = _row(tick, ready, others)
    with tick.connections.one() as conn, ExitStack() as stack:
        runs = {}
        for found in ready or changing[:1]:
            opened = open_run(tick.context, found, conn, horizon, tick.options, loads_staged=True)
            runs[found.claim.table] = stack.enter_context(opened)
            found.recorder.clock.attach()
        try:
            outcomes = _load_runs(tick, [*runs.values()] if ready else [], row)
            why = {table: str(error) for table, error in outcomes.items() if error is not None}
            loaded = [run for run in runs.values() if run.recorder.load_units and run.claim.table not in why]
            if not loaded and (why or changing):  # no table has this state, and some get another one
                row = replace(row, left_out={**row.left_out, **why}, together=False)
                next(iter(runs.values())).destination.load_together([], row, 0)
        except Exception as error:
            for found in ready or changing:
                tick.outcomes.fail(found.claim, error)
            return () if ready else changing
        for found in ready:
            tick._guarded(partial(_finish, tick, runs[found.claim.table], outcomes[found.claim.table]), found)
    return ()


def _load_runs(
    tick: TickParts, runs: Sequence[RunContext], row: ConsistentTick
) -> Mapping[str, PgsnowError | str | None]:
    """As load_runs_together. While another worker reads the log, what is staged waits for a tick that reads it."""
    if row.lsn is None:
        return dict.fromkeys((run.claim.table for run in runs), None)
    return load_runs_together(runs, row, tick.context.config.max_rows_per_tick)


def _row(tick: TickParts, ready: Sequence[Inspection], others: Sequence[Inspection]) -> ConsistentTick:
    """The tick's row, without what loading shows. PGSNOW_TICKS is in the schema of the first target by name."""
    log, config = tick.inspector.log, tick.context.config
    read = log.found.reading if log is not None and log.found is not None else None
    place = min((target_of(table, tick.context.settings.snowflake) for table in config.logged), key=str)
    idle = {report.table for report in tick.outcomes.reports() if report.status is Status.IDLE}
    have, apart = idle | {found.claim.table for found in ready}, {found.claim.table for found in others}
    ahead = log.ahead if log is not None else set[str]()
    left = {
        table.name: AHEAD if table.name in have else WITHOUT_LOG if table.name in apart else NOT_SYNCED
        for table in config.logged
        if table.name not in have or table.name in ahead
    }
    return ConsistentTick(
        place, tick.run_id, read.end if read else None, read.newest_commit if read else None, left
    )


def _finish(tick: TickParts, run: RunContext, outcome: PgsnowError | str | None, found: Inspection) -> None:
    """End one table's run. outcome: why it was left out, so that it is loaded on its own."""
    if outcome is not None:
        run.recorder.events.append(f"left out of the tick's transaction: {outcome}")
        load_waiting(run)  # if its rows must be read again, the next tick does that
    complete(run)
    run.destination.batches.cleanup(wait=True)
    tick.outcomes.end([(found.claim, table_report(found.recorder))])
