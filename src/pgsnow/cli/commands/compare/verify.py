"""`pgsnow verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Select, Wide, Yes
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import tell_error, write_totals
from pgsnow.cli.output.screen import Shown, say, table_of, write_records
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgsnow.operations.verify.verdict import Difference, Verdict

RESULTS = {"equal": "green", "different": "bold red", "failed": "bold red"}
COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("target", role=Role.EXTRA),
    Shown("result", RESULTS),
    Shown("source rows", right=True),
    Shown("target rows", right=True),
    Shown("rejected", right=True),
    Shown("differences", right=True),
)


def verify(
    config: ConfigFile = None,
    select: Select = None,
    keys: bool = typer.Option(False, "--keys", help="Compare keys alone: rows that are missing or too many."),
    content: bool = typer.Option(False, "--content", help="Compare whole rows (the default)."),
    sample: str | None = typer.Option(
        None, "--sample", metavar="N%", help="Compare only N percent of the key ranges, chosen at random."
    ),
    repair: bool = typer.Option(
        False, "--repair", help="Then repair what differs, as `pgsnow repair` does (asks first)."
    ),
    yes: Yes = False,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Compare source and target: keys, and contents row by row. Changes nothing without --repair. Exit code 4 if they
    differ."""
    quiet_log(debug=debug)
    if keys and content:
        raise typer.BadParameter("--keys and --content exclude each other", param_hint="--keys")
    if repair:
        from pgsnow.cli.commands.compare.repair import repair_with

        if sample is not None:
            raise typer.BadParameter(
                "--repair compares all ranges: leave --sample out", param_hint="--sample"
            )
        with Invocation(config, env_file, output).engine() as engine:
            code = repair_with(engine, select, output, content=not keys, yes=yes, wide=wide)
        raise typer.Exit(code)
    from pgsnow.operations.verify.verify import Scope
    from pgsnow.operations.verify.verify import verify as compare

    scope = Scope(content=not keys, sample=_percent(sample))
    with Invocation(config, env_file, output).engine() as engine:
        verdicts = compare(engine, select, scope)
    shown = table_of(COLUMNS, [_row(v) for v in verdicts], wide=wide)
    write_records(output, [record_of(v) for v in verdicts], shown)
    for verdict in verdicts:
        _explain(verdict)
    write_totals(output, [_result(verdict) for verdict in verdicts], RESULTS, _row_totals(verdicts))
    raise typer.Exit(verify_code(verdicts))


def _row_totals(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Rows and differences of all tables that were compared."""
    compared = [verdict for verdict in verdicts if verdict.error is None]
    if not compared:
        return
    differences = sum(verdict.difference_count for verdict in compared)
    rows = sum(verdict.source_rows for verdict in compared)
    yield f"{counted(differences, 'difference')} in {rows:,} {'row' if rows == 1 else 'rows'}"
    if waiting := sum(verdict.in_flight for verdict in compared):
        yield f"{waiting:,} in flight"


def _percent(text: str | None) -> float | None:
    """The number of `10%` or `10`; None for all."""
    if text is None:
        return None
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise typer.BadParameter(
            f"{text!r} is no percentage above 0 and up to 100, such as 10%", param_hint="--sample"
        )
    return percent


def verify_code(verdicts: Sequence[Verdict]) -> ExitCode:
    """1 if a table could not be compared; else 4 if one differs; else 0."""
    if any(verdict.error for verdict in verdicts):
        return ExitCode.SOME_FAILED
    return ExitCode.OK if all(verdict.equal for verdict in verdicts) else ExitCode.DIFFERENT


def record_of(verdict: Verdict) -> dict[str, Any]:
    """The JSON form, documented in docs/cli.md."""
    from pgsnow.operations.verify.canonical import plain

    return {
        **asdict(verdict),
        "differences": [
            {
                **asdict(difference),
                "key": [plain(value) for value in difference.key],
                "source": plain(difference.source),
                "target": plain(difference.target),
            }
            for difference in verdict.differences
        ],
        "equal": verdict.equal,
        "fixes": [asdict(fix) for fix in verdict.fixes()],
    }


def _result(verdict: Verdict) -> str:
    if verdict.error is not None:
        return "failed"
    return "equal" if verdict.equal else "different"


def _row(verdict: Verdict) -> tuple[object, ...]:
    failed = verdict.error is not None
    return (
        verdict.table,
        verdict.target,
        _result(verdict),
        None if failed else verdict.source_rows,
        None if failed else verdict.target_rows,
        None if failed else verdict.quarantined,
        None if failed else verdict.difference_count,
    )


def _text(value: object) -> str:
    """A value for people: text in quotes, NULL for None."""
    from pgsnow.operations.verify.canonical import plain

    if value is None:
        return "NULL"
    return repr(value) if isinstance(value, str) else str(plain(value))


def _explain(verdict: Verdict) -> None:
    if verdict.error is not None:
        tell_error(verdict.table, verdict.error, verdict.advice)
        return
    if verdict.sample is not None:
        say(f"{verdict.table}: compared {verdict.sample:g}% of the key ranges, chosen at random")
    for difference in verdict.differences:
        say(f"{verdict.table}: {_sentence(difference)}")
    if more := verdict.difference_count - len(verdict.differences):
        say(f"{verdict.table}: and {more} more")
    if verdict.in_flight:
        rows = counted(verdict.in_flight, "row")
        say(f"{verdict.table}: {rows} in flight: changed after the last read, loaded by the next run")
    if verdict.was_unverified is not None:
        say(f"{verdict.table}: no longer unverified: {verdict.was_unverified}")
    for fix in verdict.fixes():
        say(f"{verdict.table}: {fix.problem}" if verdict.equal else f"  ({fix.problem})")
        say(f"  → {fix.command}")


def _sentence(difference: Difference) -> str:
    from pgsnow.operations.verify.canonical import plain

    key = ", ".join(str(plain(value)) for value in difference.key)
    if difference.column is not None:
        source, target = _text(difference.source), _text(difference.target)
        return f"value {difference.column} ({key}): {source} in Postgres, {target} in Snowflake"
    if difference.reason is not None:
        return f"{difference.kind} ({key}): Snowflake keeps an older version; {difference.reason}"
    return f"{difference.kind} ({key})"
