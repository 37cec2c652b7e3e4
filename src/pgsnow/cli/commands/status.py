"""`pgsnow status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Wide
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import stdout
from pgsnow.cli.output.status_text import StatusView, frame_of, write_status
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
        return StatusView(records, now, str(whole.word), whole.reason, whole.advice)

    try:
        if watch:
            with _screen(output, wide=wide) as show:
                while True:
                    show(view())
                    time.sleep(every)
        else:
            write_status(output, view(), wide=wide)
    finally:
        ledger.close()


def records_of(
    config: SyncConfig, tables: tuple[TableConfig, ...], ledger: Ledger, now: datetime
) -> list[dict[str, Any]]:
    """One record for each of `tables`, in their order, also for tables that never ran."""
    rows = or_nothing(ledger.run_log.watermarks)
    return [table.record() for table in table_statuses(config, tables, rows, now)]


@contextmanager
def _screen(form: Format, *, wide: bool) -> Iterator[Callable[[StatusView], None]]:
    """A function that shows records: redraws a terminal, else writes the records each time."""
    console = stdout()
    if form is not Format.TABLE or not console.is_terminal:
        yield lambda view: write_status(form, view, wide=wide)
        return
    from pgsnow.cli.output.watch import redrawn

    with redrawn(console) as show:
        yield lambda view: show(frame_of(view, console.width, console.height - 1))
