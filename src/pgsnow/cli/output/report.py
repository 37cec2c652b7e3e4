"""Text of a tick's report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.options import Format
from pgsnow.cli.output.screen import Shown, say, stdout, table_of, write_json, write_records
from pgsnow.model.duration import approximate_duration
from pgsnow.model.report import FAILING, SKIPPED, Status, SyncReport, TableReport
from pgsnow.model.sentences import counted, with_name

STATUS_STYLES = {
    Status.OK: "green",
    Status.IDLE: "dim",
    Status.PARTIAL: "yellow",
    Status.ERROR: "bold red",
    Status.LOCKED: "magenta",
    Status.NOT_DUE: "magenta",
    Status.PAUSED: "magenta",
    Status.BACKING_OFF: "bold red",
    Status.STOPPED: "yellow",
}
COLUMNS = (
    Shown("table"),
    Shown("status", {str(k): v for k, v in STATUS_STYLES.items()}),
    Shown("read", right=True),
    Shown("inserted", right=True),
    Shown("updated", right=True),
    Shown("deleted", right=True),
    Shown("rejected", right=True),
    Shown("seconds", right=True),
    Shown("note"),
)


def show_report(report: SyncReport, form: Format) -> None:
    """Write the report to stdout; errors and rejected rows, with their advice, to stderr."""
    if form is Format.JSON:
        write_json(report.to_json())
    elif form is Format.JSONL:
        write_records(form, [table.to_json() for table in report.tables], table_of((), ()))
    else:
        stdout().print(table_of(COLUMNS, [_row(table) for table in report.tables]))
        write_totals(form, [table.status for table in report.tables], list(Status))
    for table in report.tables:
        _explain(table)


def write_totals(form: Format, states: Sequence[str], order: Iterable[str]) -> None:
    """Write the totals to stdout, below a table for people."""
    if form is Format.TABLE and states:
        stdout().print(f"\n{totals(states, order)}", soft_wrap=True)


def totals(states: Sequence[str], order: Iterable[str]) -> str:
    """The number of tables in all and in each state, in this order: `3 tables: 2 ok, 1 error`."""
    counts = ", ".join(f"{states.count(state)} {state}" for state in order if state in states)
    return f"{counted(len(states), 'table')}{': ' if counts else ''}{counts}"


def exit_code(tables: Sequence[TableReport]) -> ExitCode:
    """1 if a table failed, is backing off or was stopped, else 3 if a table was left alone for another reason (another
    run has its lease), else 0."""
    states = {table.status for table in tables}
    if states & {*FAILING, Status.STOPPED}:
        return ExitCode.SOME_FAILED
    return ExitCode.HELD if states & SKIPPED else ExitCode.OK


def _row(table: TableReport) -> tuple[object, ...]:
    return (
        table.table,
        table.status,
        table.rows_read,
        table.rows_inserted,
        table.rows_updated,
        table.rows_deleted,
        table.rows_rejected,
        f"{table.seconds:.1f}",
        _note(table),
    )


def _note(table: TableReport) -> str:
    if table.error:
        return table.error.splitlines()[0]
    notes = [f"full read: {table.full_read}"] if table.full_read else []
    return "; ".join([*notes, *(event for event in table.events if event != table.full_read)])


def _explain(table: TableReport) -> None:
    if table.status in FAILING:
        tell_error(table.table, table.error or "", table.advice)
        if table.retry_seconds is not None:
            left = approximate_duration(table.retry_seconds)
            say(f"  → scheduled runs try it again in {left}; `pgsnow run --select {table.table}` at once")
    elif table.rows_rejected:
        say(f"{table.table}: {rows_rejected(table.rows_rejected)}")
        say(f"  → pgsnow errors list --table {table.table}")


def tell_error(table: str, error: str, advice: str | None) -> None:
    """Write the table's error to stderr, then its advice on a line of its own."""
    say(with_name(table, error), style="red" if sys.stderr.isatty() else None)
    if advice:
        say(f"  → {advice}")


def rows_rejected(count: int) -> str:
    return f"{counted(count, 'row')} rejected"
