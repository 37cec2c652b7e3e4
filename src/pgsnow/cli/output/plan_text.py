"""Text of a plan: one line for each table, then the details of tables with changes, then a summary line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.text import Text

from pgsnow.cli.options import Format
from pgsnow.cli.output.cost_text import forecast_lines, number_text
from pgsnow.cli.output.layout import Role, wrapped
from pgsnow.cli.output.report import tell_error
from pgsnow.cli.output.screen import Shown, say, show_text, stdout, table_of, write_records
from pgsnow.cli.output.sizes import bytes_text, rows_text
from pgsnow.model.sentences import counted
from pgsnow.operations.cost.result import DayForecast, TableForecast
from pgsnow.operations.plan.result import Action, TablePreview, mark_of, summary

SHORT = 20
"""Tables with changes whose details are shown; further ones have their line alone, unless they were
selected."""
MARKS = {Action.CREATE: "+", Action.CHANGE: "~", Action.UNCHANGED: "=", Action.ERROR: "!"}
STYLES = {"+": "green", "~": "yellow", "-": "red", "!": "bold red", "=": "dim"}
COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("", STYLES),
    Shown("target", role=Role.EXTRA),
    Shown("needs"),
    Shown("next run reads", role=Role.TEXT),
    Shown("mode"),
    Shown("rows", right=True),
    Shown("size", right=True),
)
CREDITS = Shown("credits/day", right=True, role=Role.EXTRA)


def show(
    previews: Sequence[TablePreview],
    form: Format,
    *,
    verbose: bool,
    wide: bool = False,
    forecasts: Mapping[str, TableForecast] | None = None,
) -> None:
    """Write the plan to stdout: as JSON with every detail, or as a table and the details of tables with
    changes. forecasts: of the enabled tables, by name."""
    known = forecasts or {}
    rows = [_row(item) for item in previews]
    columns: tuple[Shown, ...] = COLUMNS
    if known:
        rows = [(*row, _credits(known.get(item.table))) for row, item in zip(rows, previews, strict=True)]
        columns = (*COLUMNS, CREDITS)
    records = [
        item.to_json() | {"forecast": known[item.table].to_json() if item.table in known else None}
        for item in previews
    ]
    write_records(form, records, table_of(columns, rows, wide=wide))
    if form is not Format.TABLE:
        return
    detailed = [item for item in previews if verbose or _has_news(item)]
    shown = detailed if verbose else detailed[:SHORT]
    for item in shown:
        _print(item, verbose=verbose)
    for warning, names in _warnings(previews).items():
        stdout().print()
        show_text(f"! {', '.join(names)}: {warning}", style="yellow")
    if len(detailed) > len(shown):
        more = counted(len(detailed) - len(shown), "more table")
        say(f"… and {more}: --verbose or --select TABLE shows their details")


def _credits(forecast: TableForecast | None) -> str:
    return "" if forecast is None else number_text(forecast.credits)


def tell(previews: Sequence[TablePreview], form: Format, forecast: DayForecast | None = None) -> None:
    """Write errors with their advice to stderr, then the summary and the forecast: to stdout after a table, else to
    stderr."""
    for item in previews:
        if item.error:
            tell_error(item.table, item.error, item.advice)
    lines = [summary(previews), *(forecast_lines(forecast) if forecast else ())]
    if form is Format.TABLE:
        stdout().print()
    for line in lines:
        show_text(line) if form is Format.TABLE else say(line)


def _row(item: TablePreview) -> tuple[object, ...]:
    needs = {Action.UNCHANGED: "nothing", Action.ERROR: "blocked"}.get(item.action) or (
        counted(len(item.ddl), "statement")
    )
    size = (rows_text(item.rows), bytes_text(item.bytes))
    return (item.table, MARKS[item.action], item.target, needs, item.reads, item.mode, *size)


def _warnings(previews: Sequence[TablePreview]) -> dict[str, list[str]]:
    """Each warning once → the tables that it concerns."""
    found: dict[str, list[str]] = {}
    for item in previews:
        for warning in item.warnings:
            found.setdefault(warning, []).append(item.table)
    return found


def _has_news(item: TablePreview) -> bool:
    return bool(item.ddl or item.changes or item.grants or item.rows_to_delete)


def _print(item: TablePreview, *, verbose: bool) -> None:
    console = stdout()
    console.print(f"\n-- {item.table} → {item.target}", soft_wrap=True)
    for mark, line in _lines(item, verbose=verbose):
        # A statement stays one line, so that a copy of it is exact.
        is_comment = line.startswith("-- ") and sys.stdout.isatty()
        for part in wrapped(line, console.width, "", "--   ") if is_comment else [line]:
            console.print(Text(part, style=STYLES.get(mark, "")), soft_wrap=True)


def _lines(item: TablePreview, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """(mark, line). Statements end with a semicolon; every other line is an SQL comment."""
    for change in item.changes:
        yield "", f"-- since the last run: {change}"
    for grant in item.grants:
        unless = "" if grant.certain else " unless inherited from another role"
        yield "!", f"-- missing in {grant.side.value}{unless}: {grant.statement};"
    if item.action is Action.CREATE or verbose:
        for decision in item.types:
            yield "", f"-- type: {decision}"
    if item.storage.startswith("transient (") or (item.storage and verbose):
        yield "", f"-- the target is {item.storage}"
    if item.manual and item.ddl:
        yield "", "-- schema_changes: manual: a run is blocked until `pgsnow apply` has sent these"
    for statement in item.ddl:
        mark = mark_of(statement)
        yield mark, f"{mark} {statement};"
    if item.rows_to_delete:
        yield (
            "",
            f"-- deleted in the source: {counted(item.rows_to_delete, 'row')} of the target (deletes: {item.deletes})",
        )
    if verbose and not item.error:
        yield from _reading(item)


def _reading(item: TablePreview) -> Iterator[tuple[str, str]]:
    yield "", f"-- the next run reads {item.reads}"
    yield "", f"-- mode {item.mode}: {item.mode_reason}"
    if item.deletes:
        reason = f" ({item.deletes_reason})" if item.deletes_reason else ""
        yield "", f"-- deletes: {item.deletes}{reason}"
    yield "", f"-- a full read: {rows_text(item.rows)} rows, {bytes_text(item.bytes)}, load: {item.load}"
    if item.first_load:
        yield "", "-- the first load, if the target is empty, with a PUT and a COPY for each load batch:"
        yield from _statements(item.first_load)
    yield "", "-- a tick without changes sends nothing; a tick with changes sends, for each load batch:"
    yield from _statements(item.tick)


def _statements(listed: Iterable[str]) -> Iterator[tuple[str, str]]:
    for statement in listed:
        yield "", f"  {statement}" if statement.startswith("--") else f"  {statement};"
