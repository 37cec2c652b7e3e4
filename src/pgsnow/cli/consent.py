"""Confirmation before an action that cannot be undone."""

from __future__ import annotations

import sys

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.output.screen import say


def ask(what: str, *, yes: bool) -> None:
    """Return only with `--yes` or after a typed yes; else exit with code 2 (1 for a typed no)."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        say(f"error: this command would {what}")
        say("  → add --yes to confirm without a prompt")
        raise typer.Exit(ExitCode.UNUSABLE)
    if not typer.confirm(f"This will {what}. Continue?", err=True):
        say("cancelled, nothing was changed")
        raise typer.Exit(ExitCode.SOME_FAILED)
