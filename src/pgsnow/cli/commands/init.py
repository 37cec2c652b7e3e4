"""`pgsnow init`: the first table list of a new project."""

from __future__ import annotations

import contextlib
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgsnow.cli.commands.discover import Exclude, Include, Schemas, TargetSchema, Views, show
from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import CONFIG_PLACES, Invocation
from pgsnow.cli.options import Debug, EnvFile, Format, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import say
from pgsnow.model.errors import ConfigError

if TYPE_CHECKING:
    from pgsnow.model.settings.settings import PostgresSettings
    from pgsnow.operations.discover.discover import Choice

EXAMPLE = ".env.example"


def init(
    schema: Schemas = None,
    include: Include = None,
    exclude: Exclude = None,
    views: Views = False,
    target_schema: TargetSchema = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Table list to write. Default: sync_config.yaml."),
    ] = None,
    yes: Yes = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Start a project: ask for the tables, write sync_config.yaml and .env.example. Overwrites nothing."""
    from pgsnow.config.edit import Listed
    from pgsnow.operations.discover.discover import Choice, survey_and_propose, write_table_list

    quiet_log(debug=debug)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        say("error: this command asks for the tables, and there is no terminal")
        say("  → add --yes to take the tables that the options select (default: every table)")
        raise typer.Exit(ExitCode.UNUSABLE)
    file = write or (CONFIG_PLACES[0] if yes else Path(_ask("table list to write", str(CONFIG_PLACES[0]))))
    if file.exists():
        raise ConfigError(
            f"{file} exists already, and is not overwritten",
            advice=f"Add new tables with `pgsnow discover --write {file}`.",
        )
    _write_example(file.parent / EXAMPLE)
    settings, env = Invocation(None, env_file).source(file)
    choice = Choice(tuple(schema or ()), tuple(include or ()), tuple(exclude or ()))
    if not yes:
        choice = _asked(settings, choice)
    found = survey_and_propose(settings, choice, views=views, target_schema=target_schema)
    show(found, Listed(), Format.TABLE)
    if not yes and not typer.confirm(f"Write {file}?", default=True, err=True):
        say("cancelled, nothing was written")
        raise typer.Exit(ExitCode.SOME_FAILED)
    write_table_list(file, found.proposals, env)
    say(f"{file}: written. Next: `pgsnow grants`, `pgsnow check`, `pgsnow plan`, `pgsnow run`.")


def _asked(settings: PostgresSettings, given: Choice) -> Choice:
    """The choice of tables: from the options, else asked for."""
    from pgsnow.operations.discover.discover import Choice, schemas_of

    there = schemas_of(settings)
    say(f"schemas with tables: {', '.join(there) or 'none'}")
    schemas = given.schemas or _several("schemas (several with commas, * for all)", "*")
    include = given.include or _several("tables, as patterns such as order_*", "*")
    exclude = given.exclude or _several("tables to leave out", "none", nothing="none")
    return Choice(tuple(s for s in schemas if s != "*"), include, exclude)


def _several(question: str, default: str, *, nothing: str = "") -> tuple[str, ...]:
    answers = (part.strip() for part in _ask(question, default).split(","))
    return tuple(answer for answer in answers if answer and answer != nothing)


def _ask(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, err=True))


def _write_example(file: Path) -> None:
    """Write the template of .env, unless the file exists."""
    if file.exists():
        say(f"{file}: exists already, not changed")
        return
    try:
        file.write_text(
            (files("pgsnow.cli") / "env_example.txt").read_text(encoding="utf-8"), encoding="utf-8"
        )
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
    say(f"{file}: written; copy it to .env and fill it in")
