"""`pgsnow repair`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.exits import ExitCode, interrupted
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide, Yes
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import tell_error, write_totals
from pgsnow.cli.output.screen import Shown, say, table_of, write_records
from pgsnow.cli.stopping import stopping
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgsnow.operations.repair.plan import TableRepair
    from pgsnow.sync.engine import Engine

RESULTS = {
    "equal": "green",
    "repaired": "green",
    "different": "bold red",
    "refused": "bold red",
    "locked": "magenta",
    "failed": "bold red",
}
KINDS = ("missing", "changed", "ghost", "duplicate")
COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("target", role=Role.EXTRA),
    Shown("result", RESULTS),
    Shown("source rows", right=True),
    Shown("target rows", right=True),
    *(Shown(kind, right=True, role=Role.EXTRA) for kind in KINDS),
    Shown("left", right=True),
)
HELD = ("locked", "paused", "not-due")


def repair(
    tables: list[str] = typer.Argument(..., metavar="TABLE...", help="Table names, sources or targets."),
    keys: bool = typer.Option(False, "--keys", help="Compare keys alone: rows with other contents stay."),
    delete_ghosts: bool = typer.Option(
        False, "--delete-ghosts", help="With `deletes: off`: delete rows that the source does not have."
    ),
    confirm_deletes: bool = typer.Option(
        False, "--confirm-deletes", help="Delete rows also where they are more than `max_delete_share`."
    ),
    yes: Yes = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Compare tables, show what differs, and load exactly those rows again (asks first)."""
    quiet_log(debug=debug)
    with (
        Invocation(config, env_file, output).engine() as engine,
        stopping(engine.stop) as stopped,
    ):
        code = repair_with(
            engine,
            tables,
            output,
            content=not keys,
            ghosts=delete_ghosts,
            confirm_deletes=confirm_deletes,
            yes=yes,
            wide=wide,
        )
    raise typer.Exit(code if stopped.signum is None else interrupted(stopped.signum))


def repair_with(
    engine: Engine,
    tables: Sequence[str] | None,
    output: Format,
    *,
    content: bool,
    ghosts: bool = False,
    confirm_deletes: bool = False,
    yes: bool,
    wide: bool = False,
) -> ExitCode:
    """Compare the tables, show the differences, repair them with `yes` or after a typed yes, and show what is left.
    Without a terminal and without `yes`, they are only shown. Returns the exit code."""
    from pgsnow.operations.repair.plan import find_repairs
    from pgsnow.operations.repair.repair import repair_tables

    repairs = find_repairs(engine, tables, content=content, ghosts=ghosts)
    wanted = [one for one in repairs if one.is_repairable]
    asks = wanted and not yes
    has_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if asks and (output is Format.TABLE or not has_terminal):
        _write(output, repairs, wide=wide)
    for one in repairs:
        _tell(one)
    if asks and (output is Format.TABLE or not has_terminal):
        _write_totals(output, repairs)
    if asks and not has_terminal:
        say("nothing was changed: add --yes to repair these rows")
        return repair_code(repairs)
    if asks and not typer.confirm(f"This will repair {_names(wanted)}. Continue?", err=True):
        say("cancelled, nothing was changed")
        return ExitCode.SOME_FAILED
    repair_tables(engine, repairs, content=content, ghosts=ghosts, confirm_deletes=confirm_deletes)
    _write(output, repairs, wide=wide)
    for one in repairs:
        for event in one.events:
            say(f"{one.table}: {event}")
        if one.status is not None and one.error is not None:
            tell_error(one.table, one.error, one.advice)
    _write_totals(output, repairs)
    return repair_code(repairs)


def repair_code(repairs: Sequence[TableRepair]) -> ExitCode:
    """1 if a table could not be compared or its run failed; else 3 if one was left alone, because another run has it, a
    person has paused it, or everything is about to be read; else 4 if rows still differ; else 0."""
    if any(one.error is not None and one.status not in HELD for one in repairs):
        return ExitCode.SOME_FAILED
    if any(_result(one) == "locked" for one in repairs):
        return ExitCode.HELD
    return ExitCode.DIFFERENT if any(one.still_different for one in repairs) else ExitCode.OK


def record_of(one: TableRepair) -> dict[str, Any]:
    """The JSON form, documented in docs/cli.md."""
    return {
        "table": one.table,
        "target": one.target,
        "result": _result(one),
        "source_rows": one.source_rows,
        "target_rows": one.target_rows,
        "in_flight": one.in_flight,
        "counts": {kind: one.counts.get(kind, 0) for kind in KINDS},
        "first_keys": one.tally.first if one.tally else {},
        "keeps_ghosts": one.keeps or None,
        "left": None if one.left is None else {kind: one.left.get(kind, 0) for kind in KINDS},
        "events": list(one.events),
        "refused": one.refused,
        "error": one.error,
        "advice": one.advice,
        "certificate": one.final_certificate and asdict(one.final_certificate),
    }


def _result(one: TableRepair) -> str:
    if one.status in HELD or (one.refused is not None and one.tally is None):
        return "locked"
    if one.error is not None:
        return "failed"
    if one.refused is not None:
        return "refused"
    if one.still_different:
        return "different"
    return "equal" if one.left is None else "repaired"


def _write(output: Format, repairs: Sequence[TableRepair], *, wide: bool) -> None:
    rows = [
        (
            one.table,
            one.target,
            _result(one),
            one.source_rows,
            one.target_rows,
            *(one.counts.get(kind, 0) for kind in KINDS),
            None if one.left is None else sum(one.left.values()),
        )
        for one in repairs
    ]
    write_records(output, [record_of(one) for one in repairs], table_of(COLUMNS, rows, wide=wide))


def _write_totals(output: Format, repairs: Sequence[TableRepair]) -> None:
    rows = sum(sum(one.counts.values()) for one in repairs)
    left = [sum(one.left.values()) for one in repairs if one.left is not None]
    found = f"differed, {sum(left):,} of them left" if left else "differ" if rows > 1 else "differs"
    more = [f"{counted(rows, 'row')} {found}"] if rows else []
    write_totals(output, [_result(one) for one in repairs], RESULTS, more)


def _tell(one: TableRepair) -> None:
    """Write the first differences of a table, and why it is not repaired, to stderr."""
    if one.error is not None:
        tell_error(one.table, one.error, one.advice)
        return
    doing = {
        "missing": "is read again and loaded",
        "changed": "is read again and loaded",
        "ghost": f"stays ({one.keeps}; --delete-ghosts deletes it)"
        if one.keeps
        else "is removed, unless the source has it then",
        "duplicate": "loses all its rows but the newest",
    }
    if one.refused is not None:
        tell_error(one.table, one.refused, one.advice)
        return
    first = one.tally.first if one.tally else {}
    for kind in KINDS:
        keys, count = first.get(kind, []), one.counts.get(kind, 0)
        for key in keys:
            say(f"{one.table}: {kind} ({key}): {doing[kind]}")
        if (more := count - len(keys)) > 0 and keys:
            say(f"{one.table}: and {more} more {kind}")
    if one.in_flight:
        say(
            f"{one.table}: {counted(one.in_flight, 'row')} in flight: changed since the last run, and no difference"
        )


def _names(repairs: Sequence[TableRepair]) -> str:
    rows = sum(sum(one.counts.values()) for one in repairs)
    return f"{counted(rows, 'row')} of {', '.join(one.table for one in repairs)}"
