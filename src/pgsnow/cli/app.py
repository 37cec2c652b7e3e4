"""The Typer application with its commands, in the order in which a new user needs them. A command's module is
imported only when that command runs, which keeps the start fast."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import typer

COMMANDS = (
    "init", "discover", "grants", "check", "plan", "apply", "run", "resync", "status", "logs", "cost", "pause",
    "resume", "verify", "repair", "doctor", "demo", "serve", "grafana", "alert-rules", "dbt", "explain", "schema",
    "version",
)  # fmt: skip
GROUPS = ("errors", "alerts", "log", "dev")
"""Commands with subcommands. The name of a command is the name of its module in pgsnow.cli.commands, with _ for -."""
FOLDERS = {
    **dict.fromkeys(("verify", "repair"), "compare"),
    **dict.fromkeys(("logs", "pause", "resume", "doctor"), "daily"),
    **dict.fromkeys(("alerts", "grafana", "alert-rules"), "monitoring"),
    "serve": "web",
    "dbt": "analytics",
    "cost": "cost",
    "explain": "explain",
    "log": "log",
}
"""The package in pgsnow.cli.commands that has a command's module, if it is not directly in there."""


def app_of(argv: Sequence[str]) -> typer.Typer:
    """The application for these arguments: with the one command that they start with, or with all commands,
    as for help and for a misspelled name."""
    named = ["version"] if list(argv) == ["--version"] else argv[:1]
    return app_with(named) if set(named) & {*COMMANDS, *GROUPS} else app_with((*COMMANDS, *GROUPS))


def _show_version(asked: bool) -> None:
    if asked:
        from pgsnow.cli.commands.version import version

        version()
        raise typer.Exit


def app_with(names: Sequence[str]) -> typer.Typer:
    """The application with these commands."""
    app = typer.Typer(
        name="pgsnow",
        help="Replicate Postgres tables to Snowflake.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_options)
    for name in names:
        own = name.replace("-", "_")
        module = import_module(".".join(filter(None, ["pgsnow.cli.commands", FOLDERS.get(name), own])))
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, own))
    return app


def _options(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
    ),
) -> None:
    # Without a callback, Typer drops the command's name in an application of one command.
    pass
