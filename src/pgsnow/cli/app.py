"""The commands, in the order in which a new user meets them. Each is imported when it is wanted: a start from nothing
pays for all that is imported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import typer

COMMANDS = (
    "init", "discover", "grants", "check", "plan", "apply", "run", "resync", "status", "verify", "demo", "schema",
    "version",
)  # fmt: skip
GROUPS = ("errors", "dev")
"""Commands with commands of their own. Each name is that of its module in this package."""


def app_of(argv: Sequence[str]) -> typer.Typer:
    """The command line for these arguments: with the one command that they begin with, or, as for help and for what is
    misspelled, with all."""
    named = argv[:1]
    return app_with(named) if set(named) & {*COMMANDS, *GROUPS} else app_with((*COMMANDS, *GROUPS))


def app_with(names: Sequence[str]) -> typer.Typer:
    """The command line with these of the commands."""
    app = typer.Typer(
        name="pgsnow",
        help="Keeps Snowflake tables equal to Postgres tables.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_nothing)
    for name in names:
        module = import_module(f"pgsnow.cli.commands.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def _nothing() -> None:
    # Without a callback an application of one command takes no command's name.
    pass
