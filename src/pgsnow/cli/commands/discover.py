"""`pgsnow discover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import CONFIG_PLACES, Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, table_of, write_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgsnow.config.edit import Listed
    from pgsnow.model.discovery.proposal import Proposal

STATES = {"proposed": "green", "listed": "dim", "commented": "dim", "refused": "yellow"}
COLUMNS = (
    Shown("table"),
    Shown("state", STATES),
    Shown("rows", right=True),
    Shown("bytes", right=True),
    Shown("pk"),
    Shown("watermark"),
    Shown("why"),
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
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Read each table once for exact figures instead of the catalog's estimates."
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
    debug: Debug = False,
) -> None:
    """List the source's tables, each with a proposed entry or the reason why there is none."""
    from pgsnow.config.edit import listed
    from pgsnow.operations.discover.discover import Choice, read_text, write_table_list
    from pgsnow.operations.discover.discover import discover as make_proposals

    quiet_log(debug=debug)
    file = write or config or next((place for place in CONFIG_PLACES if place.is_file()), CONFIG_PLACES[0])
    settings, env = Invocation(config, env_file, output).source(file)
    known = listed(read_text(file), env)
    choice = Choice(tuple(schema or ()), tuple(include or ()), tuple(exclude or ()))
    found = make_proposals(settings, choice, scan=profile, target_schema=target_schema, known=known)
    show(found, known, output)
    if write is not None:
        changed = write_table_list(write, found, env)
        say(f"{write}: written" if changed else f"{write}: nothing to add")
    raise typer.Exit(ExitCode.OK)


def show(found: Sequence[Proposal], known: Listed, output: Format) -> None:
    """Write the proposals to stdout, and how to fix tables without one to stderr."""
    states = [_state(proposal, known) for proposal in found]
    rows = [_row(proposal, state) for proposal, state in zip(found, states, strict=True)]
    records = [_record(proposal, state) for proposal, state in zip(found, states, strict=True)]
    write_records(output, records, table_of(COLUMNS, rows), empty="no tables")
    if output is Format.TABLE:
        for proposal, state in zip(found, states, strict=True):
            if state == "refused" and proposal.fix:
                say(f"{proposal.name} → {proposal.fix}")
            if state == "commented" and proposal.entry is not None:
                say(f"{proposal.name} is commented out in the table list, but could be synced")
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
    say(f"{len(found)} tables: {counts}" if counts else "0 tables")


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
    if proposal.entry.get("mode") == "full":
        return next(r.removeprefix("mode: ") for r in proposal.reasons if r.startswith("mode: "))
    return proposal.candidates[0].reasons[0] if proposal.candidates else ""


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
