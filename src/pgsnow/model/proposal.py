"""For each surveyed table an entry of the table list, or the reason why there is none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from pydantic import ValidationError

from pgsnow.model.interpolate import escape
from pgsnow.model.key_choice import choose_key, key_problem
from pgsnow.model.plan import RESERVED
from pgsnow.model.survey import RowSecurity, SurveyedTable
from pgsnow.model.table import SourceName, TargetName, target_column
from pgsnow.model.table_config import TableConfig
from pgsnow.model.watermark_choice import Candidate, Trust, rank

_KINDS = {
    "v": "a view: its rows do not tell which transaction wrote them",
    "m": "a materialized view: a refresh writes all of its rows again",
    "f": "a foreign table: its rows do not tell which transaction wrote them",
}
_AWKWARD = re.compile(r"[^a-z0-9_$]+")
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
Refusal = tuple[str, str]
"""Why not, and what would change that."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """entry: the keys of the table list's entry in their order, or None, and then `refusal` says why not.

    reasons: why the entry is what it is. fix: what would change the refusal, as a statement where there is one.
    """

    table: SurveyedTable
    entry: Mapping[str, Any] | None = None
    reasons: tuple[str, ...] = ()
    refusal: str = ""
    fix: str = ""
    candidates: tuple[Candidate, ...] = field(default=())

    @property
    def name(self) -> SourceName:
        return self.table.name


def propose(
    tables: Sequence[SurveyedTable], *, target_schema: str | None = None, taken: Iterable[str] = ()
) -> tuple[Proposal, ...]:
    """One proposal a table, in the order given. No two entries have one target, nor one of those `taken`."""
    used = {_folded(TargetName.parse(target)) for target in taken}
    found = []
    for table in tables:
        proposal = _proposal(table, _target(table.name, target_schema, used))
        if proposal.entry is not None:
            used.add(_folded(TargetName.parse(proposal.entry["target"])))
        found.append(proposal)
    return tuple(found)


def _proposal(table: SurveyedTable, target: str) -> Proposal:
    candidates = rank(table)
    key = choose_key(table.source)
    refused = _unreadable(table) or _unloadable(table)
    if refused is None and key is None:
        refused = _no_key(table)
    if refused is None and not (candidates and candidates[0].usable):
        refused = _no_watermark(table, candidates)
    if refused is not None or key is None:
        refusal, fix = refused or ("", "")
        return Proposal(table, refusal=refusal, fix=fix, candidates=candidates)
    best = candidates[0]
    entry = _entry(table, target, key, best)
    try:
        TableConfig.model_validate(entry)
    except ValidationError as error:
        return Proposal(table, refusal=_message(error), candidates=candidates)
    return Proposal(table, escape(entry), _reasons(table, key, best), candidates=candidates)


def _message(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def _entry(table: SurveyedTable, target: str, key: tuple[str, ...], best: Candidate) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "source": str(table.name),
        "target": target,
        "pk": key[0] if len(key) == 1 else list(key),
        "watermark_column": best.column,
    }
    if table.children:
        quoted = table.quoted.replace("'", "''")
        entry["where"] = f"tableoid = '{quoted}'::regclass"
    return entry


def _unreadable(table: SurveyedTable) -> Refusal | None:
    if kind := _KINDS.get(table.source.relkind):
        return kind, "Name the tables underneath it."
    if table.foreign_partitions:
        return "some of its partitions are foreign tables", "Name the other partitions, one entry each."
    if not table.may_use_schema:
        schema = '"' + table.name.schema.replace('"', '""') + '"'
        return (
            f"role {table.role} may not use the schema",
            f"GRANT USAGE ON SCHEMA {schema} TO {table.role};",
        )
    if not table.may_select:
        return (
            f"role {table.role} may not read the table",
            f"GRANT SELECT ON {table.quoted} TO {table.role};",
        )
    if table.rows_hidden:
        forced = " (forced: for its owner too)" if table.row_security is RowSecurity.FORCED else ""
        return (
            f"row-level security{forced} may hide rows from role {table.role}",
            f"ALTER ROLE {table.role} BYPASSRLS;",
        )
    return None


def _unloadable(table: SurveyedTable) -> Refusal | None:
    seen: dict[str, str] = {}
    for column in table.source.columns:
        folded = target_column(column.name).upper()
        if folded in RESERVED:
            return (
                f"column {column.name} has a name that pgsnow uses itself",
                "Rename it by `columns: {rename: …}`.",
            )
        if folded in seen:
            return (
                f"columns {seen[folded]} and {column.name} would be one column in Snowflake",
                "Rename one by `columns: {rename: …}`.",
            )
        seen[folded] = column.name
    return None


def _no_key(table: SurveyedTable) -> Refusal:
    keys = [f"[{', '.join(key)}]: {key_problem(table.source, key)}" for key in table.source.unique_keys]
    told = f" ({'; '.join(keys)})" if keys else ""
    return (
        f"no key: no primary key and no unique index of columns that are never NULL{told}",
        f"ALTER TABLE {table.quoted} ADD PRIMARY KEY (…);",
    )


def _no_watermark(table: SurveyedTable, candidates: Sequence[Candidate]) -> Refusal:
    looked = "; ".join(f"{candidate.column}: {candidate.reasons[0]}" for candidate in candidates)
    told = f" ({looked})" if looked else ""
    return (
        f"no watermark: no column shows that a row has changed{told}",
        f"ALTER TABLE {table.quoted} ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(); and a trigger BEFORE"
        " UPDATE that sets it.",
    )


def _reasons(table: SurveyedTable, key: tuple[str, ...], best: Candidate) -> tuple[str, ...]:
    kind = (
        "primary key"
        if table.has_primary_key and key == table.source.unique_keys[0]
        else "unique, never NULL"
    )
    told = [f"pk: {kind}", f"watermark_column: {', '.join(best.reasons)}"]
    if best.type_name in ("timestamp", "date") and best.trust is not Trust.BY_TRANSACTION:
        told.append("watermark_timezone: not known here; name the zone that the application writes in")
    if table.source.relkind == "p":
        told.append(f"partitioned: its {table.partitions} partitions are read through it")
    if table.children:
        told.append(
            "where: its own rows alone; those of the tables that inherit from it are read as tables of their own"
        )
    return tuple(told)


def _target(source: SourceName, schema: str | None, used: set[tuple[str, str, str]]) -> str:
    """The source's name where it is free, made plain. The schema `public` is left to SNOWFLAKE_SCHEMA."""
    place = schema if schema is not None else "" if source.schema == "public" else _written(source.schema)
    longer = f"{source.schema}_{source.table}"
    for name in chain((source.table, longer), (f"{longer}_{number}" for number in count(2))):
        written = f"{place}.{_written(name)}" if place else _written(name)
        if _folded(TargetName.parse(written)) not in used:
            return written
    raise AssertionError("count() has no end")


def _written(name: str) -> str:
    """As nobody needs to quote it: `Order Details` becomes order_details. What that cannot tell is kept, quoted."""
    easy = _AWKWARD.sub("_", name.lower()).strip("_") if name.isascii() else ""
    return easy if _PLAIN.match(easy) else '"' + name.replace('"', '""') + '"'


def _folded(target: TargetName) -> tuple[str, str, str]:
    """Names that differ in case alone are kept apart: nobody wants to tell them apart in Snowflake."""
    return target.database.upper(), target.schema.upper(), target.table.upper()
