"""`pgsnow plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Verbose, Wide
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.plan_text import show, tell
from pgsnow.cli.output.screen import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgsnow.operations.plan.result import TablePreview


def plan(
    config: ConfigFile = None,
    select: Select = None,
    full_refresh: bool = typer.Option(False, "--full-refresh", help="Plan for `run --full-refresh`."),
    verbose: Verbose = False,
    detailed_exitcode: bool = typer.Option(
        False, "--detailed-exitcode", help="Exit code 4 if there are statements to apply."
    ),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Show the statements that `apply` would send and the rows that a run would read. Changes nothing."""
    quiet_log(debug=debug)
    previews = show_plan(
        Invocation(config, env_file, output),
        select,
        full_refresh=full_refresh,
        verbose=verbose,
        wide=wide,
    )
    raise typer.Exit(plan_code(previews, detailed=detailed_exitcode))


def show_plan(
    invocation: Invocation,
    select: Sequence[str] | None,
    *,
    full_refresh: bool = False,
    verbose: bool = False,
    data: bool = True,
    wide: bool = False,
) -> list[TablePreview]:
    """Make the plan and write it to stdout, with all details of tables that were selected by name. data:
    False for a command that writes other data to stdout; then errors and the summary alone are written, to
    stderr."""
    from pgsnow.operations.cost.forecast import forecast_now
    from pgsnow.operations.plan.budget import budget_notes
    from pgsnow.operations.plan.heartbeat import heartbeat_cost
    from pgsnow.operations.plan.preview import preview
    from pgsnow.operations.plan.waiting import waiting_notes

    config, settings = invocation.load()
    previews = preview(config, settings, select, full_refresh=full_refresh)
    forecast = forecast_now(config, settings) if data else None
    if data:
        known = forecast.tables if forecast else None
        show(previews, invocation.output, verbose=verbose or bool(select), wide=wide, forecasts=known)
    tell(previews, invocation.output, forecast)
    notes = (*filter(None, [heartbeat_cost(config)]), *budget_notes(config, settings))
    for note in (*notes, *waiting_notes(config, settings)):
        say(note)
    return previews


def plan_code(previews: Sequence[TablePreview], *, detailed: bool = False) -> ExitCode:
    """1 if a table cannot be synced; else, with `detailed`, 4 if there are statements to apply; else 0."""
    if any(item.error for item in previews):
        return ExitCode.SOME_FAILED
    return ExitCode.DIFFERENT if detailed and any(item.pending for item in previews) else ExitCode.OK
