"""`pgsnow run`."""

from __future__ import annotations

import typer

from pgsnow.cli.companions import without_companions
from pgsnow.cli.consent import ask
from pgsnow.cli.exits import interrupted
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Wide, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.progress import progress
from pgsnow.cli.output.report import exit_code, show_report
from pgsnow.cli.stopping import stopping
from pgsnow.integrations.notify import is_wanted


def run(
    tables: list[str] | None = typer.Argument(
        None, metavar="[TABLE]...", help="Only these tables (name, source or target), like --select."
    ),
    config: ConfigFile = None,
    select: Select = None,
    full_refresh: bool = typer.Option(
        False,
        "--full-refresh",
        help="Read all rows again, and delete target rows that the source no longer has (asks first).",
    ),
    take_over: bool = typer.Option(
        False,
        "--take-over",
        help="A full refresh of targets that belong to another configuration until now (asks first).",
    ),
    reread: bool = typer.Option(
        False, "--reread", help="Read all rows again and load them; delete none from the target."
    ),
    load: bool = typer.Option(
        False, "--load", help="Also load rows that are staged and not due yet (`load_every`)."
    ),
    confirm_deletes: bool = typer.Option(
        False,
        "--confirm-deletes",
        help="Search for deleted rows now, and delete them however many they are.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan instead, as `pgsnow plan` does."),
    yes: Yes = False,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show no progress."),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Sync every enabled table once. Ctrl-C finishes the current load batch, then stops."""
    quiet_log(debug=debug)
    invocation = Invocation(config, env_file, output)
    select = [*(tables or []), *(select or [])]
    if dry_run:
        from pgsnow.cli.commands.plan import plan_code, show_plan

        raise typer.Exit(
            plan_code(show_plan(invocation, select, full_refresh=full_refresh or reread, wide=wide))
        )
    if full_refresh or take_over:
        named = ", ".join(select) if select else "every table"
        what = f"read every row of {named} again, and delete target rows that the source no longer has"
        others = "; rows of another configuration are deleted, and it is refused from then on"
        ask(what + (others if take_over else ""), yes=yes)
    with (
        progress(quiet=quiet) as observer,
        invocation.engine(observer) as engine,
        without_companions(engine.settings),
        stopping(engine.stop) as stopped,
    ):
        observer.expect(len(engine.config.select(select or None)))
        report = engine.tick(
            select or None, full_refresh=full_refresh, reread=reread, load=load, take_over=take_over,
            confirm_deletes=confirm_deletes,
        )  # fmt: skip
        engine.remove_loaded_files()
    show_report(report, output, wide=wide)
    if is_wanted(engine.config):
        from pgsnow.integrations.notify.after_tick import send_after

        send_after(engine.config, engine.settings, report, beat=not select)
    raise typer.Exit(exit_code(report.tables) if stopped.signum is None else interrupted(stopped.signum))
