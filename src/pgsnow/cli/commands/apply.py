"""`pgsnow apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pgsnow.cli.commands.plan import show_plan
from pgsnow.cli.consent import ask
from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Verbose, Wide, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import exit_code, tell_error
from pgsnow.cli.output.screen import say, stdout, table_of, write_records
from pgsnow.model.report import Status
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgsnow.model.report import TableReport
    from pgsnow.operations.plan.result import TablePreview


def apply(
    config: ConfigFile = None,
    select: Select = None,
    yes: Yes = False,
    verbose: Verbose = False,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Show the plan, ask, then change the target tables in Snowflake. Loads no rows: the next run does."""
    quiet_log(debug=debug)
    invocation = Invocation(config, env_file, output)
    previews = show_plan(invocation, select, verbose=verbose, data=output is Format.TABLE, wide=wide)
    reports = _apply(invocation, [item for item in previews if item.pending], yes=yes)
    _show(reports, output)
    stopped = any(item.error for item in previews)
    raise typer.Exit(ExitCode.SOME_FAILED if stopped else exit_code(reports))


def _apply(invocation: Invocation, pending: Sequence[TablePreview], *, yes: bool) -> Sequence[TableReport]:
    if not pending:
        return ()
    from pgsnow.operations.plan.apply import apply as send

    count = sum(len(item.ddl) for item in pending)
    ask(f"send {counted(count, 'statement')} to Snowflake, for {counted(len(pending), 'table')}", yes=yes)
    config, settings = invocation.load()
    return send(config, settings, [item.table for item in pending]).tables


def _show(reports: Sequence[TableReport], form: Format) -> None:
    """Write the executed changes to stdout; errors, with their advice, to stderr."""
    if form is Format.TABLE:
        for report in reports:
            for event in report.events:
                stdout().print(f"{report.table}: {event}", soft_wrap=True)
    else:
        write_records(form, [_record(report) for report in reports], table_of((), ()))
    for report in reports:
        if report.error:
            tell_error(report.table, report.error, report.advice)
    if any(report.status is Status.APPLIED for report in reports):
        say("The next run loads the rows.")


def _record(report: TableReport) -> dict[str, object]:
    shown_keys = ("table", "target", "run_id", "status", "seconds", "events", "error", "advice")
    whole = report.to_json()
    return {name: whole[name] for name in shown_keys}
