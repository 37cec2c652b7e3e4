"""`pgsnow discover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import CONFIG_PLACES, Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import tell_error
from pgsnow.cli.output.screen import Shown, say, table_of, write_records
from pgsnow.model.sentences import counted, without_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgsnow.config.edit import Listed
    from pgsnow.model.discovery.proposal import Proposal
    from pgsnow.operations.discover.discover import Discovery
    from pgsnow.operations.discover.left_out import LeftOut

MOST_NAMES = 8
"""Names that a line lists."""
STATES = {"proposed": "green", "listed": "dim", "commented": "dim", "refused": "yellow"}
COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("state", STATES),
    Shown("mode"),
    Shown("rows", right=True),
    Shown("bytes", right=True),
    Shown("pk", role=Role.NAME),
    Shown("watermark", role=Role.NAME),
    Shown("why", role=Role.TEXT),
)

Schemas = Annotated[
    list[str] | None, typer.Option("--schema", metavar="S", help="Only tables of this schema. Repeatable.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include", metavar="PATTERN", help="Only tables that match: order_*, sales.*. Repeatable."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Leave out tables that match. Repeatable."),
]
Views = Annotated[
    bool, typer.Option("--views", help="Propose views too. Without it they are only counted and named.")
]
TargetSchema = Annotated[
    str | None,
    typer.Option(
        "--target-schema",
        metavar="T",
        help="Snowflake schema of new targets. Default: the source's schema; SNOWFLAKE_SCHEMA for public.",
    ),
]


def discover(
    schema: Schemas = None,
    include: Include = None,
    exclude: Exclude = None,
    views: Views = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Read each table once for exact figures instead of the catalog's estimates, and for types of numbers.",
        ),
    ] = False,
    target_schema: TargetSchema = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="FILE",
            help="Write a table list, or add new tables to an existing one. Without it nothing is written.",
        ),
    ] = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """List the source's tables, each with a proposed entry or the reason why there is none."""
    from pgsnow.config.edit import listed
    from pgsnow.operations.discover.discover import (
        Choice,
        read_text,
        survey_and_propose,
        write_table_list,
    )

    quiet_log(debug=debug)
    file = write or config or next((place for place in CONFIG_PLACES if place.is_file()), CONFIG_PLACES[0])
    settings, env = Invocation(config, env_file, output).source(file)
    known = listed(read_text(file), env)
    choice = Choice(tuple(schema or ()), tuple(include or ()), tuple(exclude or ()))
    found = survey_and_propose(
        settings, choice, scan=profile, views=views, target_schema=target_schema, known=known
    )
    show(found, known, output, wide=wide)
    if write is not None:
        changed = write_table_list(write, found.proposals, env)
        say(f"{write}: written" if changed else f"{write}: nothing to add")
    raise typer.Exit(ExitCode.SOME_FAILED if found.failures else ExitCode.OK)


def show(discovery: Discovery, known: Listed, output: Format, *, wide: bool = False) -> None:
    """Write the proposals to stdout; to stderr what they cost, decisions about types, how to fix tables without
    one, and what was left out."""
    found = discovery.proposals
    states = [_state(proposal, known) for proposal in found]
    rows = [_row(proposal, state) for proposal, state in zip(found, states, strict=True)]
    records = [_record(proposal, state) for proposal, state in zip(found, states, strict=True)]
    write_records(output, records, table_of(COLUMNS, rows, wide=wide), empty="no tables")
    if output is Format.TABLE:
        for proposal, state in zip(found, states, strict=True):
            _tell(proposal, state)
        proposed = [each for each, state in zip(found, states, strict=True) if state == "proposed"]
        if any(each.mode == "xmin" for each in proposed):
            say("mode xmin: changed rows are found by transaction id, with one scan of the table per tick")
        for line in _type_lines(proposed):
            say(line)
    for line in _left_out_lines(discovery.left_out):
        say(line)
    for name, error in discovery.failures:
        tell_error(str(name), f"not profiled: {without_name(str(name), str(error))}", error.advice)
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
    say(f"{counted(len(found), 'table')}{': ' if counts else ''}{counts}")


def _tell(proposal: Proposal, state: str) -> None:
    if state == "refused" and proposal.fix:
        say(f"{proposal.name} → {proposal.fix}")
    if state == "commented" and proposal.entry is not None:
        say(f"{proposal.name} is commented out in the table list, but could be synced")
    for warning in proposal.warnings if state == "proposed" else ():
        say(f"{proposal.name}: {warning}")


def _type_lines(found: Sequence[Proposal]) -> Iterator[str]:
    """One line for each decision about a type, with the columns of all tables that it concerns."""
    rules: dict[str, list[str]] = {}
    unbounded = False
    for proposal in found:
        for decision in proposal.types:
            unbounded = unbounded or decision.is_unbounded_numeric
            columns = [f"{proposal.name}.{column}" for column in decision.columns]
            rules.setdefault(decision.rule, []).extend(columns)
    for rule, columns in rules.items():
        yield f"type: {rule}: {_first(columns)}"
    if unbounded:
        yield (
            "→ for numbers instead of text: `--profile` proposes a NUMBER(p, s) for each such column from its values;"
            " or write `numeric_type: NUMBER(38, 9)` under `defaults:`"
        )


def _left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    kinds: dict[str, list[LeftOut]] = {}
    for each in left_out:
        kinds.setdefault(each.kind, []).append(each)
    for kind, those in kinds.items():
        option = "--views proposes them" if those[0].is_view else "`--include NAME` proposes one"
        yield f"left out: {len(those)} × {kind}: {_first([str(each.name) for each in those])} ({option})"


def _first(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _state(proposal: Proposal, known: Listed) -> str:
    if str(proposal.name) in known.sources:
        return "listed"
    if proposal in known:
        return "commented"
    return "refused" if proposal.entry is None else "proposed"


def _row(proposal: Proposal, state: str) -> tuple[object, ...]:
    source = proposal.table.source
    entry = proposal.entry or {}
    pk = entry.get("pk")
    return (
        proposal.name,
        state,
        proposal.mode,
        None if source.estimated_rows < 0 else f"{source.estimated_rows:,}",
        f"{source.total_bytes:,}" if source.total_bytes else None,
        ", ".join(pk) if isinstance(pk, list) else pk,
        entry.get("watermark_column"),
        _why(proposal),
    )


def _why(proposal: Proposal) -> str:
    """The main reason for the proposal, or why there is none."""
    if proposal.entry is None:
        return proposal.refusal
    return proposal.summary


def _record(proposal: Proposal, state: str) -> dict[str, Any]:
    table = proposal.table
    return {
        "table": str(proposal.name),
        "state": state,
        "relkind": table.source.relkind,
        "rows": None if table.source.estimated_rows < 0 else table.source.estimated_rows,
        "bytes": table.source.total_bytes or None,
        "profiled": table.profiled,
        "primary_key": list(table.source.unique_keys[0]) if table.has_primary_key else None,
        "unique_keys": [list(key) for key in table.source.unique_keys],
        "partitions": table.partitions,
        "children": table.children,
        "row_security": table.row_security.value,
        "readable": table.may_use_schema and table.may_select,
        "mode": proposal.mode or None,
        "mode_reason": proposal.mode_reason or None,
        "warnings": list(proposal.warnings),
        "types": [
            {"columns": list(d.columns), "source": d.kind, "snowflake": d.snowflake, "text": str(d)}
            for d in proposal.types
        ],
        "entry": dict(proposal.entry) if proposal.entry is not None else None,
        "reasons": list(proposal.reasons),
        "refusal": proposal.refusal or None,
        "fix": proposal.fix or None,
        "candidates": [
            {
                "column": candidate.column,
                "type": candidate.type_name,
                "trust": candidate.trust.name.lower(),
                "reasons": list(candidate.reasons),
                "null_share": table.facts_of(candidate.column).null_share,
                "ascending": table.facts_of(candidate.column).ascending,
                "distinct": table.facts_of(candidate.column).distinct,
            }
            for candidate in proposal.candidates
        ],
    }
