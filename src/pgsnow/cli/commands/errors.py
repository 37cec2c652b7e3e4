"""`pgsnow errors`: rejected rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.consent import ask
from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide, Yes
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import exit_code, show_report
from pgsnow.cli.output.screen import Shown, say, table_of, write_json, write_records
from pgsnow.model.errors import ConfigError
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.ledger.rows import ErrorRow

app = typer.Typer(help="Rejected rows: list, show, replay or dismiss them.", no_args_is_help=True)

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
MOST_ERRORS = 100_000
COLUMNS = (
    Shown("id", right=True),
    Shown("table", role=Role.NAME),
    Shown("key", role=Role.NAME),
    Shown("column", role=Role.NAME),
    Shown("state", {"open": "yellow", "replayed": "green", "dismissed": "dim"}),
    Shown("times", right=True, role=Role.EXTRA),
    Shown("last seen", role=Role.EXTRA),
    Shown("reason", role=Role.TEXT),
)


class ErrorState(StrEnum):
    """State of a rejected row."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISMISSED = "dismissed"
    ALL = "all"


Table = Annotated[
    str | None, typer.Option("--table", "-t", metavar="TABLE", help="Only errors of this table.")
]
Ids = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="Numbers from `pgsnow errors list`.")
]
All = Annotated[bool, typer.Option("--all", help="Every open error (of --table, if given).")]


@app.command("list")
def list_errors(
    table: Table = None,
    state: Annotated[
        ErrorState, typer.Option("--state", help="Only errors in this state.")
    ] = ErrorState.OPEN,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many, newest first.")] = 100,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """List rejected rows, newest first."""
    quiet_log(debug=debug)
    sync_config, ledger = Invocation(config, env_file, output).ledger()
    try:
        name = sync_config.select([table])[0].name if table else None
        wanted = None if state is ErrorState.ALL else state.value
        rows = or_nothing(lambda: ledger.rejected_rows.listed(table=name, state=wanted, limit=limit))
    finally:
        ledger.close()
    shown = table_of(COLUMNS, [_row(row) for row in rows], wide=wide)
    write_records(output, [asdict(row) for row in rows], shown, empty=f"no {state} errors")
    if output is Format.TABLE:
        for line in admitting_lines([row for row in rows if row.state == "open"]):
            say(line)


@app.command("show")
def show_error(
    error_id: Annotated[int, typer.Argument(metavar="ID", help="A number from `pgsnow errors list`.")],
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Show one rejected row in full, with its payload."""
    quiet_log(debug=debug)
    _, ledger = Invocation(config, env_file, output).ledger()
    try:
        [row] = _found(ledger, [error_id])
    finally:
        ledger.close()
    record = asdict(row)
    if output is Format.TABLE:
        values = [(k, _value(v)) for k, v in record.items()]
        fields = table_of((Shown("field"), Shown("value")), values, wide=True)
        write_records(output, [record], fields)
    elif output is Format.JSON:
        write_json(record)
    else:
        write_records(output, [record], table_of((), ()))


@app.command("replay")
def replay_errors(
    ids: Ids = None,
    table: Table = None,
    every: All = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Read rejected rows from the source again, by key, and load them."""
    quiet_log(debug=debug)
    with Invocation(config, env_file, output).engine() as engine:
        chosen = _chosen(
            engine.ledger, ids, engine.config.select([table])[0].name if table else None, every=every
        )
        if not chosen:
            say("no open errors")
            return
        report = engine.replay([row.id for row in chosen])
    show_report(report, output, wide=wide)
    raise typer.Exit(exit_code(report.tables))


@app.command("dismiss")
def dismiss_errors(
    ids: Ids = None,
    table: Table = None,
    every: All = False,
    yes: Yes = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Dismiss rejected rows: they are not loaded, and no longer counted (asks first)."""
    quiet_log(debug=debug)
    sync_config, ledger = Invocation(config, env_file, output).ledger()
    try:
        chosen = _chosen(ledger, ids, sync_config.select([table])[0].name if table else None, every=every)
        if not chosen:
            say("no open errors")
            return
        ask(f"dismiss {counted(len(chosen), 'rejected row')}, not to be loaded", yes=yes)
        count = ledger.rejected_rows.dismiss([row.id for row in chosen])
    finally:
        ledger.close()
    if output is not Format.TABLE:
        write_records(output, [{"id": row.id, "state": "dismissed"} for row in chosen], table_of((), ()))
    say(f"{count} dismissed")


def admitting_lines(rows: Sequence[ErrorRow]) -> list[str]:
    """The lines of sync_config.yaml that would admit these rows, by table; none for a row that has a bad column, or
    anything else wrong, that no `on_overflow` accepts."""
    tables: dict[str, dict[str, Sequence[str]]] = {}
    for row in rows:
        if row.bad_columns and all(column["admitted_by"] for column in row.bad_columns):
            columns = tables.setdefault(row.source_table, {})
            columns.update({column["name"]: column["admitted_by"] for column in row.bad_columns})
    return [line for table, columns in tables.items() for line in _lines_of(table, columns)]


def _lines_of(table: str, columns: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"{table}: these lines in its entry of sync_config.yaml would admit rows above:"]
    lines += ["    columns:", "      on_overflow:"]
    for name, (first, *others) in columns.items():
        more = f"  # or {', '.join(others)}" if others else ""
        lines.append(f"        {_yaml_key(name)}: {first}{more}")
    return lines


def _yaml_key(name: str) -> str:
    """The name, in quotes unless it is plain."""
    return name if _PLAIN.match(name) else json.dumps(name, ensure_ascii=False)


def _chosen(ledger: Ledger, ids: list[int] | None, table: str | None, *, every: bool) -> list[ErrorRow]:
    """The open errors that were named. Raises ConfigError if none was named, and for an unknown id."""
    if ids:
        return [row for row in _found(ledger, ids) if row.state == "open"]
    if not every and table is None:
        raise ConfigError(
            "no errors named", advice="Give ids from `pgsnow errors list`, or --table TABLE, or --all."
        )
    return or_nothing(lambda: ledger.rejected_rows.listed(table=table, state="open", limit=MOST_ERRORS))


def _found(ledger: Ledger, ids: list[int]) -> list[ErrorRow]:
    rows = or_nothing(lambda: ledger.rejected_rows.listed(state=None, ids=ids, limit=len(ids)))
    if missing := sorted(set(ids) - {row.id for row in rows}):
        raise ConfigError(
            f"no error with id {', '.join(map(str, missing))}", advice="See `pgsnow errors list`."
        )
    return rows


def _row(row: ErrorRow) -> tuple[object, ...]:
    seen = row.updated_at.strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(row.id),
        row.source_table,
        _value(row.key),
        row.column,
        row.state,
        row.occurrences,
        seen,
        row.reason,
    )


def _value(value: Any) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return value
