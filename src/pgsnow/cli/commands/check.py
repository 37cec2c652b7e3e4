"""`pgsnow check`."""

from __future__ import annotations

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Wide
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, table_of, write_records
from pgsnow.model.sentences import counted, without_name

LEVEL_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}
COLUMNS = (Shown("check", role=Role.NAME), Shown("result", LEVEL_STYLES), Shown("detail", role=Role.TEXT))


def check(
    config: ConfigFile = None,
    select: Select = None,
    failures: bool = typer.Option(False, "--failures", help="Show failed checks only; the rest is counted."),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Check connections, privileges and tables, and show how to fix problems. Changes nothing."""
    from pgsnow.operations.check.check import Level, run_checks
    from pgsnow.operations.check.save import save_results

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    results = run_checks(sync_config, settings, select)
    if not select:
        save_results(sync_config, settings, results)
    shown = [result for result in results if result.level is Level.FAILED or not failures]
    rows = [(f.name, f.level, without_name(f.name, f.detail)) for f in shown]
    write_records(output, [f.to_json() for f in shown], table_of(COLUMNS, rows, wide=wide))
    for result in shown:
        if result.fix and output is Format.TABLE:
            say(f"{result.name} → {result.fix}")
    failed = sum(f.level is Level.FAILED for f in results)
    warned = sum(f.level is Level.WARNING for f in results)
    say(f"{counted(len(results), 'check')}: {failed} failed, {counted(warned, 'warning')}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.OK)
