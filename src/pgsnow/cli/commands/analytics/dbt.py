"""`pgsnow dbt`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Select
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import say


def dbt(
    file: Path = typer.Argument(
        Path("models/sources.yml"), metavar="[FILE]", help="The file to write; - prints it."
    ),
    check: bool = typer.Option(False, "--check", help="Write nothing; exit code 4 if the file would change."),
    config: ConfigFile = None,
    select: Select = None,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Write the synced tables as sources of a dbt project, with types, descriptions from comments, tests of keys."""
    from pgsnow.operations.dbt.merge import merged
    from pgsnow.operations.dbt.write import dbt_sources

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, Format.TABLE).load()
    sources, errors = dbt_sources(sync_config, settings, select)
    is_printed = str(file) == "-"
    before = file.read_text(encoding="utf-8") if not is_printed and file.exists() else ""
    after = merged(before, sources, file=str(file))
    for table, error in errors.items():
        say(f"{table}: left out: {error}")
    if is_printed:
        sys.stdout.write(after)
    elif after == before:
        say(f"{file}: nothing to change")
    elif check:
        say(f"{file}: would change; run `pgsnow dbt {file}` and commit it")
        raise typer.Exit(ExitCode.DIFFERENT)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(after, encoding="utf-8")
        say(f"{file}: {'updated' if before else 'written'}")
    raise typer.Exit(ExitCode.SOME_FAILED if errors else ExitCode.OK)
