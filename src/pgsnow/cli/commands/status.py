"""`pgsnow status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Wide
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import stdout
from pgsnow.cli.output.status_text import StatusView, frame_of, write_status
from pgsnow.model.errors import PgsnowError
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.overview import overview_of
from pgsnow.operations.status.table_status import table_statuses

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig, TableConfig


def status(
    config: ConfigFile = None,
    select: Select = None,
    watch: bool = typer.Option(False, "--watch", "-w", help="Refresh until Ctrl-C."),
    every: float = typer.Option(2.0, "--every", min=0.2, metavar="SECONDS", help="Interval of --watch."),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Show the state of each table. Reads only the ledger, neither the source tables nor Snowflake."""
    quiet_log(debug=debug)
    sync_config, ledger = Invocation(config, env_file, output).ledger()
    chosen = sync_config.select(select) if select else sync_config.tables

    def view() -> StatusView:
        now = datetime.now(UTC)
        records = records_of(sync_config, chosen, ledger, now)
        if select or output is not Format.TABLE:
            return StatusView(records, now)
        whole = overview_of(sync_config, ledger, now)
        return StatusView(records, now, str(whole.word), whole.reason, whole.advice, whole.budget, whole.log)

    try:
        if watch:
            with _screen(output, wide=wide) as show:
                for seen in _views(view, is_redrawn=_is_redrawn(output)):
                    show(seen)
                    time.sleep(every)
        else:
            write_status(output, view(), wide=wide)
    finally:
        ledger.close()


def _views(view: Callable[[], StatusView], *, is_redrawn: bool) -> Iterator[StatusView]:
    """One view after the other. While the ledger does not answer for a while, a screen keeps the last states and says
    so; without a screen the error is raised, and so it is at the first look."""
    seen: StatusView | None = None
    while True:
        try:
            seen = view()
        except PgsnowError as error:
            if seen is None or not (is_redrawn and error.transient):
                raise
            reason = f"{error} (the states below are from {seen.now:%H:%M:%S})"
            yield replace(seen, word="unknown", reason=reason, advice=error.advice)
        else:
            yield seen


def _is_redrawn(form: Format) -> bool:
    return form is Format.TABLE and stdout().is_terminal


def records_of(
    config: SyncConfig, tables: tuple[TableConfig, ...], ledger: Ledger, now: datetime
) -> list[dict[str, Any]]:
    """One record for each of `tables`, in their order, also for tables that never ran."""
    rows = or_nothing(ledger.run_log.watermarks)
    budget = budget_of(config, ledger, now)
    return [table.record() for table in table_statuses(config, tables, rows, now, budget)]


@contextmanager
def _screen(form: Format, *, wide: bool) -> Iterator[Callable[[StatusView], None]]:
    """A function that shows records: redraws a terminal, else writes the records each time."""
    console = stdout()
    if not _is_redrawn(form):
        yield lambda view: write_status(form, view, wide=wide)
        return
    from pgsnow.cli.output.watch import redrawn

    with redrawn(console) as show:
        yield lambda view: show(frame_of(view, console.width, console.height - 1))
