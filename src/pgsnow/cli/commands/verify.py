"""`pgsnow verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, table_of, write_records

if TYPE_CHECKING:
    from pgsnow.operations.verify.verify import Verdict

COLUMNS = (
    Shown("table"),
    Shown("target"),
    Shown("result", {"equal": "green", "different": "bold red"}),
    Shown("source rows", right=True),
    Shown("target rows", right=True),
    Shown("rejected", right=True),
    Shown("differences", right=True),
)


def verify(
    config: ConfigFile = None,
    select: Select = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Compare source and target row by row. Changes nothing. Exit code 4 if they differ."""
    quiet_log(debug=debug)
    from pgsnow.operations.verify.verify import verify as compare

    with Invocation(config, env_file, output).engine() as engine:
        verdicts = compare(engine, select)
    write_records(output, [record_of(v) for v in verdicts], table_of(COLUMNS, [_row(v) for v in verdicts]))
    for verdict in verdicts:
        _explain(verdict)
    raise typer.Exit(ExitCode.OK if all(v.equal for v in verdicts) else ExitCode.DIFFERENT)


def record_of(verdict: Verdict) -> dict[str, Any]:
    return {**asdict(verdict), "equal": verdict.equal}


def _row(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.table,
        verdict.target,
        "equal" if verdict.equal else "different",
        verdict.source_rows,
        verdict.target_rows,
        verdict.quarantined,
        verdict.difference_count,
    )


def _text(value: object) -> str:
    """A value for people: text in quotes, NULL for None."""
    if value is None:
        return "NULL"
    return repr(value) if isinstance(value, (str, bytes)) else str(value)


def _explain(verdict: Verdict) -> None:
    for difference in verdict.differences:
        where = f" {difference.column}" if difference.column else ""
        values = (
            f": {_text(difference.source)} in Postgres, {_text(difference.target)} in Snowflake"
            if where
            else ""
        )
        key = ", ".join(str(value) for value in difference.key)
        older = f": Snowflake keeps an older version; {difference.reason}" if difference.reason else ""
        say(f"{verdict.table}: {difference.kind}{where} ({key}){values}{older}")
    if more := verdict.difference_count - len(verdict.differences):
        say(f"{verdict.table}: and {more} more")
    if verdict.stale:
        say(f"  → pgsnow errors list --table {verdict.table} shows what would admit stale rows")
    if verdict.difference_count == verdict.stale:
        return
    if verdict.staged:
        say(
            f"{verdict.table}: {verdict.staged} staged rows are not loaded yet, which may explain differences"
        )
        say(f"  → pgsnow run --select {verdict.table} --load loads them")
    else:
        say(f"  → pgsnow run --select {verdict.table} --full-refresh repairs the target")
