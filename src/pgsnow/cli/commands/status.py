"""`pgsnow status`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import write_totals
from pgsnow.cli.output.screen import Shown, say, stdout, table_of, write_records
from pgsnow.model.duration import approximate_duration
from pgsnow.model.sentences import counted
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.table_status import table_statuses

if TYPE_CHECKING:
    from rich.table import Table

    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig, TableConfig

STATE_STYLES = {
    HealthState.SYNCED: "green",
    HealthState.IDLE: "dim green",
    HealthState.RUNNING: "cyan",
    HealthState.PARTIAL: "yellow",
    HealthState.UNVERIFIED: "bold yellow",
    HealthState.DIFFERENT: "bold red",
    HealthState.FAILED: "bold red",
    HealthState.STUCK: "bold white on red",
    HealthState.NEVER: "dim",
    HealthState.PAUSED: "dim",
    HealthState.OFF: "dim",
}
SHOWN_STATES = {HealthState.PARTIAL: "rows-rejected"}
"""Text of a state in the table where it differs from its value, which stays for programs."""
COLUMNS = (
    Shown("table"),
    Shown("state", {SHOWN_STATES.get(k, str(k)): v for k, v in STATE_STYLES.items()}),
    Shown("lag", right=True),
    Shown("last success", right=True),
    Shown("rows last run", right=True),
    Shown("rejected", right=True),
    Shown("lease"),
    Shown("why"),
)


def status(
    config: ConfigFile = None,
    select: Select = None,
    watch: bool = typer.Option(False, "--watch", "-w", help="Refresh until Ctrl-C."),
    every: float = typer.Option(2.0, "--every", min=0.2, metavar="SECONDS", help="Interval of --watch."),
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Show the state of each table. Reads only the ledger, neither the source tables nor Snowflake."""
    quiet_log(debug=debug)
    sync_config, ledger = Invocation(config, env_file, output).ledger()
    chosen = sync_config.select(select) if select else sync_config.tables
    try:
        if watch:
            _watch(sync_config, chosen, ledger, output, every)
        else:
            _write(output, records_of(sync_config, chosen, ledger, datetime.now(UTC)))
    finally:
        ledger.close()


def records_of(
    config: SyncConfig, tables: tuple[TableConfig, ...], ledger: Ledger, now: datetime
) -> list[dict[str, Any]]:
    """One record for each of `tables`, in their order, also for tables that never ran."""
    rows = or_nothing(ledger.run_log.watermarks)
    return [table.record() for table in table_statuses(config, tables, rows, now)]


def _table(records: list[dict[str, Any]], now: datetime) -> Table:
    return table_of(
        COLUMNS,
        [
            (
                r["table"],
                SHOWN_STATES.get(r["state"], r["state"]),
                None if r["lag_seconds"] is None else approximate_duration(r["lag_seconds"]),
                _ago(r["last_success"], now),
                r["rows_processed"],
                r["open_errors"],
                r["lease_holder"],
                r["why"],
            )
            for r in records
        ],
    )


def _ago(moment: datetime | None, now: datetime) -> str | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{approximate_duration(max(0.0, (now - aware).total_seconds()))} ago"


def _write(form: Format, records: list[dict[str, Any]]) -> None:
    write_records(form, records, _table(records, datetime.now(UTC)), empty="the table list is empty")
    if form is Format.TABLE:
        states = [SHOWN_STATES.get(record["state"], record["state"]) for record in records]
        write_totals(form, states, [SHOWN_STATES.get(state, str(state)) for state in HealthState])
    partial = sum(record["lag_covers"] is not None for record in records)
    if partial and form is Format.TABLE:
        tables = counted(partial, "table")
        say(
            f"lag: that of {tables} counts only changes that move the watermark (`lag_covers` in --output json)"
        )
    if form is Format.TABLE:
        for record in records:
            for certificate in record["certificates"]:
                say(f"{record['table']}: {_compared(certificate)}")
            if record["verify_progress"] is not None:
                share = f"{record['verify_progress']:.0%}"
                say(f"{record['table']}: {share} of it is compared in this round of verify_every")


def _compared(certificate: dict[str, Any]) -> str:
    """A certificate in one line."""
    what = {"keys": "keys", "content": "keys and contents", "sample": "a sample of the rows"}
    at = datetime.fromisoformat(certificate["ended_at"]).astimezone(UTC)
    found = [
        f"{counted(certificate[name], 'row')} {name}" for name in ("repaired", "kept") if certificate[name]
    ]
    return (
        f"{what[certificate['method']]} compared {at:%Y-%m-%d %H:%M} UTC by {certificate['by']}"
        + (f", up to transaction {certificate['snapshot']}" if certificate["snapshot"] else "")
        + f": {counted(certificate['rows'], 'row')} in {counted(certificate['ranges'], 'range')},"
        f" {counted(certificate['differences'], 'difference')}{''.join(f', {text}' for text in found)}"
    )


def _watch(
    config: SyncConfig, tables: tuple[TableConfig, ...], ledger: Ledger, form: Format, every: float
) -> None:
    with _screen(form) as show:
        while True:
            now = datetime.now(UTC)
            show(records_of(config, tables, ledger, now))
            time.sleep(every)


@contextmanager
def _screen(form: Format) -> Iterator[Any]:
    """A function that shows records: redraws a table on a terminal, else writes the records each time."""
    console = stdout()
    if form is not Format.TABLE or not console.is_terminal:
        yield lambda records: _write(form, records)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        yield lambda records: live.update(_table(records, datetime.now(UTC)), refresh=True)
