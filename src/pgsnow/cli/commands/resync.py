"""`pgsnow resync`."""

from __future__ import annotations

import typer

from pgsnow.cli.consent import ask
from pgsnow.cli.exits import interrupted
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.progress import progress
from pgsnow.cli.output.report import exit_code, show_report
from pgsnow.cli.stopping import stopping


def resync(
    tables: list[str] = typer.Argument(..., metavar="TABLE...", help="Table names, sources or targets."),
    duplicates_only: bool = typer.Option(
        False,
        "--duplicates-only",
        help="Only remove rows of the target whose key another row has too; keep the newest of each key.",
    ),
    yes: Yes = False,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show no progress."),
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Rebuild tables in a shadow table, then swap (asks first)."""
    quiet_log(debug=debug)
    invocation = Invocation(config, env_file, output)
    targets = f"the target of {', '.join(tables)}"
    if duplicates_only:
        ask(f"delete all rows but the newest of each key from {targets}", yes=yes)
    else:
        ask(f"replace the content of {targets} with the rows of the source", yes=yes)
    with (
        progress(quiet=quiet) as observer,
        invocation.engine(observer) as engine,
        stopping(engine.stop) as stopped,
    ):
        observer.expect(len(engine.config.select(tables)))
        report = engine.tick(tables, resync=not duplicates_only, duplicates_only=duplicates_only)
        engine.remove_loaded_files()
    show_report(report, output, wide=wide)
    raise typer.Exit(exit_code(report.tables) if stopped.signum is None else interrupted(stopped.signum))
