"""`pgsnow plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select
from pgsnow.cli.screen import Shown, say, stdout, table_of, write_records
from pgsnow.cli.service_log import quiet_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgsnow.sync.preview import TablePreview

COLUMNS = (
    Shown("table"),
    Shown("target"),
    Shown("would read"),
    Shown("mode"),
    Shown("load"),
    Shown("would create"),
)


def plan(
    config: ConfigFile = None,
    select: Select = None,
    full_refresh: bool = typer.Option(False, "--full-refresh", help="As `run --full-refresh` would."),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Show what a run would create and read now. Writes nothing: not in Postgres, not in Snowflake."""
    quiet_log(debug=debug)
    raise typer.Exit(show_plan(Invocation(config, env_file, output), select, full_refresh=full_refresh))


def show_plan(invocation: Invocation, select: Sequence[str] | None, *, full_refresh: bool) -> ExitCode:
    """The previews on stdout; exit code 1 if a table could not be synced."""
    from pgsnow.sync.preview import preview

    config, settings = invocation.load()
    previews = preview(config, settings, select, full_refresh=full_refresh)
    write_records(
        invocation.output, [p.to_json() for p in previews], table_of(COLUMNS, [_row(p) for p in previews])
    )
    for item in previews:
        _explain(item, invocation.output)
    return ExitCode.SOME_FAILED if any(p.error for p in previews) else ExitCode.OK


def _row(item: TablePreview) -> tuple[object, ...]:
    created = "nothing" if not item.ddl else f"{len(item.ddl)} statements (below)"
    return (item.table, item.target, item.reads, item.mode, item.load, None if item.error else created)


def _explain(item: TablePreview, form: Format) -> None:
    if item.error:
        say(f"{item.table}: {item.error}")
        if item.advice:
            say(f"  → {item.advice}")
    elif form is Format.TABLE and item.ddl:
        console = stdout()
        console.print(f"\n-- {item.table}")
        for statement in item.ddl:
            console.print(f"{statement};", soft_wrap=True)
