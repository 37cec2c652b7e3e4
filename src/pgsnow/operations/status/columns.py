"""Columns of a table: where their values are in the target, in which type, and what is not exact about that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsnow.model.types.mapping import TypeMapping
from pgsnow.model.types.named_types import BY_NAME
from pgsnow.model.types.overflow import Overflow
from pgsnow.model.types.type_rules import array, composite, enum, mapping_named, numeric, unknown

if TYPE_CHECKING:
    from pgsnow.model.config.sync_config import TableConfig
    from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition

_ARGUMENTS = re.compile(r"\s*\([^)]*\)")
_DIGITS = re.compile(r"numeric\((\d+),(-?\d+)\)\Z")
_NAMES = {
    "bit varying": "varbit",
    "character": "bpchar",
    '"char"': "char",
    "time with time zone": "timetz",
}
"""Names that format_type() gives to types, and that a configuration cannot use."""


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column of the source, or one that the transform adds (source_type: "").

    target: its column in the target, None if it is not loaded. note: how its values arrive. exact: the target holds
    each value as the source does, or rejects it.
    """

    source: str
    source_type: str
    target: str | None
    target_type: str
    is_key: bool
    not_null: bool
    exact: bool
    note: str


def column_lines(config: TableConfig, definition: SourceDefinition) -> tuple[ColumnLine, ...]:
    """One line for each column of the table as it was read last, in its order."""
    return tuple(_line(config, definition, column) for column in definition.columns)


def _line(config: TableConfig, definition: SourceDefinition, column: ColumnDefinition) -> ColumnLine:
    note, exact = _note(config, column)
    return ColumnLine(
        source=column.name,
        source_type=column.type_text,
        target=column.target,
        target_type=column.holds or column.snowflake,
        is_key=column.name in definition.key,
        not_null=column.not_null,
        exact=exact,
        note=note,
    )


def _note(config: TableConfig, column: ColumnDefinition) -> tuple[str, bool]:
    """How the column's values arrive, and whether that is exact."""
    if column.attnum is None:
        return "Added by the transform.", True
    if column.target is None:
        return "Not loaded.", False
    mapping = _mapping(column)
    if mapping.snowflake.partition("(")[0] != column.snowflake.partition("(")[0]:
        return f"The configuration changes its type to {column.snowflake}.", False
    note, exact = mapping.note, "lost" not in mapping.note and mapping.postgres != "float4"
    if column.conversion:
        note, exact = f"{note} Read {column.conversion}.", False
    if column.shadow:
        note = f"{note} Its type has changed, so its values are in a column of their own."
    chosen = config.columns.on_overflow.get(column.name, config.on_overflow)
    if chosen in (Overflow.NULL, Overflow.CLAMP) and "overflow" in note:
        return f"{note} Values that overflow are changed (on_overflow: {chosen}).", False
    return note, exact


def _mapping(column: ColumnDefinition) -> TypeMapping:
    """The mapping of a type by its text, as format_type() writes it."""
    text = column.type_text.lower()
    if text.endswith("[]"):
        return array(text)
    if column.labels:
        return enum(text)
    if digits := _DIGITS.match(text):
        return numeric(int(digits[1]), int(digits[2]))
    bare = _ARGUMENTS.sub("", text)
    try:
        return mapping_named(bare)
    except ValueError:
        found = BY_NAME.get(_NAMES.get(bare, bare).rpartition(".")[2])
    if found is not None:
        return found
    return composite(text) if column.snowflake == "VARIANT" else unknown(text)
