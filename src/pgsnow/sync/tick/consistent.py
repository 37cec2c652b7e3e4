"""`consistency: tick`: what the tables of a tick have read from the log becomes visible in one transaction.

All of them stage their changes first, which frees the slot. Then what is staged is loaded, with a row in PGSNOW_TICKS
that says which state of the source it is. Tables that do not have that state are named in the row: those that are read
without the log in this tick, and those that cannot be loaded. They run on their own after that transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import LogUnusable, PgsnowError, SchemaMoved
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.report import Status
from pgsnow.model.table import TargetName
from pgsnow.sync.runtime.report import table_report
from pgsnow.sync.table.context import RunContext, TableOutcome, open_run, retry_claim
from pgsnow.sync.table.deferred_load import load_waiting
from pgsnow.sync.table.inspect import Inspection
from pgsnow.sync.table.joint.together import load_runs_together
from pgsnow.sync.table.run import finish_log, sync_table

if TYPE_CHECKING:
    from pgsnow.sync.stream.log_tick import LogTick
    from pgsnow.sync.tick.tick import Tick

NOT_SYNCED = "it was not synced in this tick"
WITHOUT_LOG = "it is read without the log"
AHEAD = "its rows are newer than what was read from the log"


def load_consistently(
    tick: Tick, log: LogTick, horizon: Horizon, changed: Sequence[Inspection]
) -> list[Inspection]:
    """Stage and load the changes of all tables that are read from the log, and end their runs. Returns the tables that
    must run on their own."""
    work = _Consistent(tick, log, horizon)
    for found in changed:
        (work.alone if found.log is None or found.sweep is not None else work.staged).append(found)
    found_now = tick.each(work.stage, work.staged)
    work.staged = [found for found in found_now if found.log is not None]
    work.alone += [found for found in found_now if found.log is None]
    work.load()
    return work.alone


@dataclass(slots=True)
class _Consistent:
    """staged: tables whose changes are loaded together. alone: tables that run on their own afterwards."""

    tick: Tick
    log: LogTick
    horizon: Horizon
    staged: list[Inspection] = field(default_factory=list)
    alone: list[Inspection] = field(default_factory=list)

    def stage(self, found: Inspection) -> Inspection:
        """Stage one table's changes. Returns the inspection with which it goes on; without `log`, if the table must be
        read without the log."""
        tick = self.tick
        with (
            tick.connections.one() as conn,
            open_run(tick.context, found, conn, self.horizon, tick.options, loads_staged=False) as run,
        ):
            run = replace(run, joint=True)
            try:
                sync_table(run)
            except (SchemaMoved, LogUnusable) as moved:
                return tick.inspector.inspect_again(retry_claim(run), self.horizon, moved)
            return replace(found, claim=run.claim)

    def load(self) -> None:
        """Load what is staged, and end these runs. Tables that are left out are loaded by runs of their own; their
        errors are those of these runs."""
        tick, left = self.tick, list[Inspection]()
        with ExitStack() as stack:
            try:
                runs = self._open(stack, self.staged)
                outcomes = self._load(stack, runs)
            except Exception as error:
                for found in (*self.staged, *self._changing()):
                    tick.outcomes.fail(found.claim, error)
                self.alone = [found for found in self.alone if found not in self._changing()]
                return
            by_table = {run.claim.table: run for run in runs}
            left = [
                replace(found, claim=retry_claim(by_table[table]))
                for found in self.staged
                if outcomes[table := found.claim.table] is not None
            ]
            loaded = [found for found in self.staged if outcomes[found.claim.table] is None]
            tick.each(lambda found: self._end(by_table[found.claim.table]), loaded)
        tick.each(partial(tick.run_table, self.horizon, action=load_alone), left)

    def _changing(self) -> list[Inspection]:
        """Tables that were read from the log or loaded before, and are about to get another state than the others."""
        return [
            found
            for found in self.alone
            if found.plan.config.mode is TableMode.LOG and found.claim.checkpoint is not None
        ]

    def _open(self, stack: ExitStack, tables: Sequence[Inspection]) -> list[RunContext]:
        """The runs of these tables, one after another with one connection."""
        tick = self.tick
        conn = stack.enter_context(tick.connections.one())
        return [
            stack.enter_context(
                open_run(tick.context, found, conn, self.horizon, tick.options, loads_staged=True)
            )
            for found in tables
        ]

    def _load(self, stack: ExitStack, runs: Sequence[RunContext]) -> Mapping[str, PgsnowError | str | None]:
        """As load_runs_together. If no table has the tick's state, but some are about to change, the row says so."""
        row, most = self._row(), self.tick.context.config.max_rows_per_tick
        waiting = [run.claim.table for run in runs if run.claim.staged]
        outcomes: Mapping[str, PgsnowError | str | None] = dict.fromkeys((r.claim.table for r in runs), None)
        if self.log.found is None:  # another worker reads the log: what is staged waits for a tick that does
            waiting = []
        else:
            outcomes = load_runs_together(runs, row, most)
        why = {table: str(error) for table, error in outcomes.items() if error is not None}
        if not set(waiting) - why.keys() and (why or self._changing()):
            first = runs or self._open(stack, self._changing()[:1])
            row = replace(row, left_out={**row.left_out, **why}, together=False)
            first[0].destination.load_together([], row, most)
        return outcomes

    def _row(self) -> ConsistentTick:
        """The row of this tick, without what loading shows."""
        tick, read = self.tick, self.log.found
        config, snowflake = tick.context.config, tick.context.settings.snowflake
        place = TargetName.parse(
            config.logged[0].target, database=snowflake.database, schema=snowflake.schema
        )
        have = {report.table for report in tick.outcomes.reports() if report.status is Status.IDLE}
        have |= {found.claim.table for found in self.staged}
        alone = {found.claim.table: WITHOUT_LOG for found in self.alone}
        left_out = {
            table.name: alone.get(table.name, AHEAD if table.name in have else NOT_SYNCED)
            for table in config.logged
            if table.name not in have or table.name in self.log.ahead
        }
        reading = read.reading if read is not None else None
        return ConsistentTick(
            place,
            tick.run_id,
            reading.end if reading else None,
            reading.newest_commit if reading else None,
            left_out,
        )

    def _end(self, run: RunContext) -> None:
        """The last steps of a table whose changes are loaded."""
        finish_log(run)
        self.tick.outcomes.end([(run.claim, table_report(run.recorder))])


def load_alone(run: RunContext) -> TableOutcome:
    """Load what a table has staged that was left out of the transaction. Raises LogUnusable if its rows must be read
    again."""
    if run.log is None:
        return sync_table(run)
    if load_waiting(run) is not None:
        raise LogUnusable(f"{run.claim.table}: what was staged cannot be loaded")
    finish_log(run)
    return TableOutcome()
