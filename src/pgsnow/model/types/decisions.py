"""Decisions about types that an analyst would not expect: numbers, dates and lists that arrive as text or VARIANT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgsnow.model.table import Column
from pgsnow.model.types.mapping import Field, TypeMapping
from pgsnow.model.types.type_rules import is_unbounded, mapping_of

_TEXT_AS_TEXT = frozenset({"text", "varchar", "name", "char", "uuid", "citext", "xml"})
_JSON_AS_JSON = frozenset({"json", "jsonb"})
_WORDS = {"bpchar": "char(n)", "varbit": "bit varying"}
_REMARKS = {
    "bpchar": ", padded with blanks as in Postgres",
    "interval": ", Postgres's own text; it cannot be added to a timestamp",
    "timetz": ", because Snowflake has no time with a time zone",
    "money": ", a number's text without its currency",
}
UNBOUNDED = "numeric without precision"


@dataclass(frozen=True, slots=True, order=True)
class TypeDecision:
    """One decision for all columns of a table that it concerns. kind: of the source, for people. snowflake: the type in
    Snowflake. remark: what follows from it; '' or a text that begins with a comma."""

    kind: str
    snowflake: str
    remark: str
    columns: tuple[str, ...]

    @property
    def is_unbounded_numeric(self) -> bool:
        return self.kind == UNBOUNDED

    @property
    def rule(self) -> str:
        """The decision without its columns: `interval → VARCHAR`."""
        return f"{self.kind} → {self.snowflake}{self.remark}"

    def __str__(self) -> str:
        return f"{', '.join(self.columns)}: {self.rule}"


def decisions_of(
    columns: Sequence[Column], output: Iterable[Field] | None = None
) -> tuple[TypeDecision, ...]:
    """The decisions for these columns, grouped by type. output: the fields after the transform; columns that it leaves
    out or gives another type (by `cast`, `hash`, `on_overflow: text` …) are left out: a person decided about those."""
    loaded = None if output is None else {field.source: field.type for field in output}
    found: dict[tuple[str, str, str], list[str]] = {}
    for column in columns:
        mapping = mapping_of(column)
        if loaded is not None and loaded.get(column.name) != mapping:
            continue
        if _is_unexpected(mapping):
            kind, remark = _kind(column, mapping)
            found.setdefault((kind, mapping.snowflake, remark), []).append(column.name)
    return tuple(TypeDecision(*key, tuple(names)) for key, names in found.items())


def _is_unexpected(mapping: TypeMapping) -> bool:
    if mapping.snowflake == "VARCHAR":
        return mapping.postgres not in _TEXT_AS_TEXT
    return mapping.snowflake == "VARIANT" and mapping.postgres not in _JSON_AS_JSON


def _kind(column: Column, mapping: TypeMapping) -> tuple[str, str]:
    """(the type for people, a remark)."""
    name = mapping.postgres
    if is_unbounded(column):
        return UNBOUNDED, ", because it may have more digits than NUMBER"
    if column.type_name == "numeric":
        return name, ", because NUMBER has at most 38 digits"
    if column.category == "A":
        return f"{name.removeprefix('_')}[]", ""
    if column.kind == "e":
        return f"enum {name}", ", its label"
    if column.kind == "c":
        return f"composite {name}", ", an object"
    return _WORDS.get(name, name), _REMARKS.get(name, "")
