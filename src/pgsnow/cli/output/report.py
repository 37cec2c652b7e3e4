"""Text of a tick's report."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.options import Format
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.screen import (
    Shown,
    say,
    show_table,
    show_text,
    stdout,
    table_of,
    write_json,
    write_records,
)
from pgsnow.model.duration import approximate_duration, clock_text
from pgsnow.model.report import FAILING, SKIPPED, Status, SyncReport, TableReport
from pgsnow.model.sentences import counted, with_name, without_name

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
    Shown("table", role=Role.NAME),
    Shown("status", {str(k): v for k, v in STATUS_STYLES.items()}),
    Shown("read", right=True),
    Shown("inserted", right=True),
    Shown("updated", right=True),
    Shown("deleted", right=True),
    Shown("rejected", right=True, role=Role.EXTRA),
    Shown("seconds", right=True),
    Shown("note", role=Role.TEXT),
)
FEW = 30
"""Tables of which a terminal shows also those without changes."""
MOST_NAMES = 3
"""Tables that a message about several names."""


def show_report(report: SyncReport, form: Format, *, wide: bool = False) -> None:
    """Write the report to stdout, the totals last; errors and rejected rows, with their advice, to stderr."""
    if form is Format.JSON:
        write_json(report.to_json())
    elif form is Format.JSONL:
        write_records(form, [table.to_json() for table in report.tables], table_of((), ()))
    else:
        shown = [table for table in report.tables if _has_a_row(table, report, wide=wide)]
        told_once = _shared_errors(shown) if sys.stdout.isatty() and not wide else set()
        show_table(table_of(COLUMNS, [_row(table, told_once) for table in shown], wide=wide))
        if left_out := len(report.tables) - len(shown):
            show_text(f"… and {counted(left_out, 'table')} without changes or stopped (--wide shows them)")
    _explain(report.tables)
    if form is Format.TABLE:
        states = [table.status for table in report.tables]
        write_totals(form, states, list(Status), (*_row_totals(report.tables), _seconds(report.seconds)))


def _has_a_row(table: TableReport, report: SyncReport, *, wide: bool) -> bool:
    """False for tables without news, if there are many and a person looks."""
    if wide or len(report.tables) <= FEW or not sys.stdout.isatty():
        return True
    return table.status not in (Status.IDLE, Status.NOT_DUE, Status.STOPPED) or bool(table.events)


def write_totals(
    form: Format,
    states: Sequence[str],
    order: Iterable[str],
    more: Iterable[str] = (),
    *,
    noun: str = "table",
) -> None:
    """Write the totals to stdout, below a table for people. more: further parts of the line."""
    if form is Format.TABLE and states:
        stdout().print()
        show_text(" · ".join([totals(states, order, noun), *more]))


def totals(states: Sequence[str], order: Iterable[str], noun: str = "table") -> str:
    """The number of tables in all and in each state, in this order: `3 tables: 2 ok, 1 error`."""
    counts = ", ".join(f"{states.count(state)} {state}" for state in order if state in states)
    return f"{counted(len(states), noun)}{': ' if counts else ''}{counts}"


def _row_totals(tables: Sequence[TableReport]) -> Iterator[str]:
    """The rows of all tables by operation; nothing if there are none."""
    sums = {
        name: sum(getattr(table, f"rows_{name}") for table in tables)
        for name in ("inserted", "updated", "deleted", "rejected")
    }
    if parts := [f"{count:,} {name}" for name, count in sums.items() if count]:
        yield f"rows: {', '.join(parts)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock_text(seconds)


def exit_code(tables: Sequence[TableReport]) -> ExitCode:
    """1 if a table failed, is backing off or was stopped, else 3 if a table was left alone for another reason (another
    run has its lease), else 0."""
    states = {table.status for table in tables}
    if states & {*FAILING, Status.STOPPED}:
        return ExitCode.SOME_FAILED
    return ExitCode.HELD if states & SKIPPED else ExitCode.OK


def _shared_errors(tables: Sequence[TableReport]) -> set[str]:
    """Errors that several of the tables have; below the table they are shown once."""
    counts = Counter(_error(table) for table in tables if table.status in FAILING)
    return {error for error, count in counts.items() if count > 1}


def _error(table: TableReport) -> str:
    return without_name(table.table, table.error or "")


def _row(table: TableReport, told_once: Collection[str]) -> tuple[object, ...]:
    return (
        table.table,
        table.status,
        table.rows_read,
        table.rows_inserted,
        table.rows_updated,
        table.rows_deleted,
        table.rows_rejected,
        f"{table.seconds:.1f}",
        None if _error(table) in told_once else _note(table),
    )


def _note(table: TableReport) -> str:
    if table.status is Status.STOPPED:
        return ""  # the summary says how it goes on
    if table.error:
        return next(iter(_error(table).splitlines()), "")
    notes = [f"full read: {table.full_read}"] if table.full_read else []
    return "; ".join([*notes, *(event for event in table.events if event != table.full_read)])


def _explain(tables: Sequence[TableReport]) -> None:
    """Write each error once, with the tables that have it, then rejected rows, then how a stopped run goes on."""
    failed: dict[tuple[str, str], list[TableReport]] = {}
    for table in tables:
        if table.status in FAILING:
            advice = (table.advice or "").replace(table.table, "TABLE")
            failed.setdefault((_error(table), advice), []).append(table)
    for alike in failed.values():
        _tell_failure(alike)
    for table in tables:
        if table.rows_rejected and table.status not in FAILING:
            say(f"{table.table}: {rows_rejected(table.rows_rejected)}")
            say(f"  → pgsnow errors list --table {shlex.quote(table.table)}")
    if stopped := sum(table.status is Status.STOPPED for table in tables):
        say(
            f"stopped: {len(tables) - stopped} of {counted(len(tables), 'table')} had ended. Nothing is lost:"
            " the next run goes on from the checkpoints"
        )
        say("  → pgsnow run")


def _tell_failure(alike: Sequence[TableReport]) -> None:
    """One error of one or several tables, and when scheduled runs try again."""
    first = alike[0]
    tell_error(_names([table.table for table in alike]), _error(first), first.advice)
    waits = [table.retry_seconds for table in alike if table.retry_seconds is not None]
    if waits:
        left = approximate_duration(min(waits))
        pronoun, named = ("it", f" --select {first.table}") if len(alike) == 1 else ("them", " TABLE…")
        say(f"  → scheduled runs try {pronoun} again in {left}; `pgsnow run{named}` at once")


def _names(tables: Sequence[str]) -> str:
    """`a, b, c and 17 more`."""
    more = len(tables) - MOST_NAMES
    return ", ".join(tables[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def tell_error(table: str, error: str, advice: str | None) -> None:
    """Write the table's error to stderr, then its advice on a line of its own."""
    say(with_name(table, error), style="red" if sys.stderr.isatty() else None)
    if advice:
        say(f"  → {advice}")


def rows_rejected(count: int) -> str:
    return f"{counted(count, 'row')} rejected"
