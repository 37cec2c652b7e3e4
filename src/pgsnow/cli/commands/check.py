"""`pgsnow check`."""

from __future__ import annotations

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, table_of, write_records

LEVEL_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}
COLUMNS = (Shown("check"), Shown("result", LEVEL_STYLES), Shown("detail"))


def check(
    config: ConfigFile = None,
    select: Select = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Check connections, privileges and tables, and show how to fix problems. Changes nothing."""
    from pgsnow.operations.check.check import Level, run_checks

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    results = run_checks(sync_config, settings, select)
    rows = [(f.name, f.level, f.detail) for f in results]
    write_records(output, [f.to_json() for f in results], table_of(COLUMNS, rows))
    for result in results:
        if result.fix and output is Format.TABLE:
            say(f"{result.name} → {result.fix}")
    failed = sum(f.level is Level.FAILED for f in results)
    warned = sum(f.level is Level.WARNING for f in results)
    say(f"{len(results)} checks: {failed} failed, {warned} warning{'s' * (warned != 1)}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.OK)
