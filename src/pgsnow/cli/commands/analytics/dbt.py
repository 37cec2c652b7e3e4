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
from pgsnow.model.errors import ConfigError


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
    before = "" if is_printed else _text_of(file)
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
        _write(file, after)
        say(f"{file}: {'updated' if before else 'written'}")
    raise typer.Exit(ExitCode.SOME_FAILED if errors else ExitCode.OK)


def _text_of(file: Path) -> str:
    """The file's text with the ends of its lines as they are; "" if there is no file."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not text in UTF-8", advice="Name another file.") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}", advice="Name another file.") from None


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be written: {error.strerror}", advice="Name another file."
        ) from None
