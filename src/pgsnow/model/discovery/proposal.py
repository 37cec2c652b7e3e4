"""Proposals for the table list: an entry for each surveyed table, or the reason why it cannot be synced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from pydantic import ValidationError

from pgsnow.model.config.interpolation import escape
from pgsnow.model.config.table_config import TableConfig, TableMode
from pgsnow.model.discovery.numbers import cast_reasons, number_casts
from pgsnow.model.discovery.reasons import reasons_of, untraceable, warnings_of
from pgsnow.model.discovery.survey import RowSecurity, SurveyedTable
from pgsnow.model.discovery.watermark_choice import Candidate, Trust, rank
from pgsnow.model.plan import RESERVED
from pgsnow.model.table import KINDS, SourceName, TargetName, target_column
from pgsnow.model.table_key import choose_key
from pgsnow.model.types.decisions import TypeDecision, decisions_of

WHOLE_EVERY = "1h"
"""`every` of tables that are read as a whole, because each inspection reads all of their rows."""
_SCHEMAS = {"information_schema": "postgres_information_schema"}
"""Source schemas whose names are reserved in Snowflake → the target schema. Every Snowflake database has a read-only
INFORMATION_SCHEMA."""
_AWKWARD = re.compile(r"[^a-z0-9_$]+")
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
Refusal = tuple[str, str]
"""(the reason, how to fix it)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The proposal for one table.

    entry: keys and values of the entry, in order; None if the table cannot be synced, for the reason in `refusal`.
    reasons: why these values were chosen. warnings: what the entry costs, and how to avoid it. types: decisions about
    types that an analyst would not expect. fix: how to make the table syncable, as an SQL statement if there is one.
    """

    table: SurveyedTable
    entry: Mapping[str, Any] | None = None
    reasons: tuple[str, ...] = ()
    refusal: str = ""
    fix: str = ""
    candidates: tuple[Candidate, ...] = field(default=())
    warnings: tuple[str, ...] = ()
    types: tuple[TypeDecision, ...] = ()

    @property
    def mode(self) -> str:
        """How changed rows are found; '' without an entry."""
        return "" if self.entry is None else str(self.entry.get("mode", TableMode.WATERMARK))

    @property
    def mode_reason(self) -> str:
        return next((r.removeprefix("mode: ") for r in self.reasons if r.startswith("mode: ")), "")

    @property
    def summary(self) -> str:
        """The mode's reason in a few words, for a table's cell; of `xmin` the column that comes closest."""
        if self.mode != TableMode.XMIN:
            return self.mode_reason.partition(", ")[2].removeprefix("because ")
        named = [each for each in self.candidates if each.trust is Trust.BY_NAME]
        if named:
            return f"{named[0].column}: {named[0].reasons[0]}"
        return "no column shows that a row has changed"

    @property
    def name(self) -> SourceName:
        return self.table.name


def propose(
    tables: Sequence[SurveyedTable], *, target_schema: str | None = None, taken: Iterable[str] = ()
) -> tuple[Proposal, ...]:
    """One proposal for each table, in the given order. All targets are distinct, and none is among `taken`."""
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
    problem = table.misnamed or _unreadable(table) or _unloadable(table)
    if problem is not None:
        refusal, fix = problem
        return Proposal(table, refusal=refusal, fix=fix, candidates=candidates)
    best = candidates[0] if candidates and candidates[0].is_watermark else None
    key = None if untraceable(table, best) else choose_key(table.source)
    casts = number_casts(table)
    entry = _entry(table, target, key, best) | ({"transform": {"cast": casts}} if casts else {})
    try:
        TableConfig.model_validate(entry)
    except ValidationError as error:
        return Proposal(table, refusal=_message(error), candidates=candidates)
    loaded = [c for c in table.source.columns if c.name not in casts and table.source.may_read(c.name)]
    return Proposal(
        table,
        escape(entry),
        (*reasons_of(table, key, best, candidates), *cast_reasons(casts)),
        candidates=candidates,
        warnings=tuple(warnings_of(table, key, best)),
        types=decisions_of(loaded),
    )


def _message(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def _entry(
    table: SurveyedTable, target: str, key: tuple[str, ...] | None, best: Candidate | None
) -> dict[str, Any]:
    entry: dict[str, Any] = {"source": str(table.name), "target": target}
    if key is None:
        entry |= {"mode": str(TableMode.FULL), "every": WHOLE_EVERY}
    else:
        entry["pk"] = key[0] if len(key) == 1 else list(key)
        entry |= {"watermark_column": best.column} if best else {"mode": str(TableMode.XMIN)}
    if table.source.unreadable:
        readable = [column.name for column in table.source.columns if table.source.may_read(column.name)]
        entry["columns"] = {"include": readable}
    if table.children:
        quoted = table.quoted.replace("'", "''")
        entry["where"] = f"tableoid = '{quoted}'::regclass"
    return entry


def _unreadable(table: SurveyedTable) -> Refusal | None:
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
    if table.obstacle is not None:
        return table.obstacle
    if table.children and not table.source.may_read("tableoid"):
        return (
            f"role {table.role} may not read tableoid, which tells its own rows from those of its child tables",
            table.source.grant_on(["tableoid"]),
        )
    if table.rows_hidden:
        forced = " (forced: it also applies to the owner)" if table.row_security is RowSecurity.FORCED else ""
        return (
            f"row-level security{forced} may hide rows from role {table.role}",
            f"ALTER ROLE {table.role} BYPASSRLS;",
        )
    return None


def _unloadable(table: SurveyedTable) -> Refusal | None:
    if not table.source.columns:
        kind = KINDS.get(table.source.relkind, "TABLE")
        return "it has no columns", f"DROP {kind} {table.quoted}; if it is not needed."
    seen: dict[str, str] = {}
    for column in table.source.columns:
        folded = target_column(column.name).upper()
        if folded in RESERVED:
            return (
                f"column {column.name} has a name that pgsnow reserves",
                "Rename it by `columns: {rename: …}`.",
            )
        if folded in seen:
            return (
                f"columns {seen[folded]} and {column.name} would be the same column in Snowflake",
                "Rename one by `columns: {rename: …}`.",
            )
        seen[folded] = column.name
    return None


def _target(source: SourceName, schema: str | None, used: set[tuple[str, str, str]]) -> str:
    """A free target name, simplified from the source's name. The schema `public` is left to SNOWFLAKE_SCHEMA."""
    place = schema if schema is not None else _SCHEMAS.get(source.schema) or _written(source.schema)
    place = "" if schema is None and source.schema == "public" else place
    longer = f"{source.schema}_{source.table}"
    for name in chain((source.table, longer), (f"{longer}_{number}" for number in count(2))):
        written = f"{place}.{_written(name)}" if place else _written(name)
        if _folded(TargetName.parse(written)) not in used:
            return written
    raise AssertionError("count() has no end")


def _written(name: str) -> str:
    """A name that needs no quotes: `Order Details` becomes order_details. If that is impossible, the quoted name."""
    easy = _AWKWARD.sub("_", name.lower()).strip("_") if name.isascii() else ""
    return easy if _PLAIN.match(easy) else '"' + name.replace('"', '""') + '"'


def _folded(target: TargetName) -> tuple[str, str, str]:
    """A form to compare names by. Targets must not differ in case only, which would be confusing in Snowflake."""
    return target.database.upper(), target.schema.upper(), target.table.upper()
