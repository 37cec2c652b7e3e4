"""`pgsnow resync`."""

from __future__ import annotations

import typer

from pgsnow.cli.consent import ask
from pgsnow.cli.exits import interrupted
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.progress import progress
from pgsnow.cli.output.report import exit_code, show_report
from pgsnow.cli.stopping import stopping


def resync(
    tables: list[str] = typer.Argument(..., metavar="TABLE...", help="Names, sources or targets."),
    yes: Yes = False,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress on stderr."),
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Read tables anew beside their targets, and put the content in place at once when all of it is there."""
    quiet_log(debug=debug)
    invocation = Invocation(config, env_file, output)
    ask(f"replace all rows of the target of {', '.join(tables)} by what the source has now", yes=yes)
    with (
        progress(quiet=quiet) as observer,
        invocation.engine(observer) as engine,
        stopping(engine.stop) as stopped,
    ):
        report = engine.tick(tables, resync=True)
    show_report(report, output)
    raise typer.Exit(exit_code(report.tables) if stopped.signum is None else interrupted(stopped.signum))
