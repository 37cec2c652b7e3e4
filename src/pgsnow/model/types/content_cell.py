"""The columns whose contents both sides write as one text, so that a hash of it shows whether two rows are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgsnow.model.types.mapping import Field, digits_of
from pgsnow.model.types.overflow import NEVER_OF_KEYS
from pgsnow.model.types.snowflake_types import ColumnType

_LENGTHS = ("VARCHAR", "BINARY")


@dataclass(frozen=True, slots=True)
class ContentCell:
    """One column of a row whose text is hashed. family: of the target's column. scale: of a NUMBER. limit: the length
    in characters (BINARY: bytes) beyond which `on_overflow` has cut values or set them to NULL; None: no such values.
    absent: the column is loaded as NULL."""

    field: Field
    family: str
    scale: int = 0
    limit: int | None = None
    absent: bool = False

    @property
    def nullifies(self) -> bool:
        """True if a value that does not fit is loaded as NULL."""
        return self.field.overflow.value == "null"

    @property
    def clamps(self) -> bool:
        """True if the nearest value that fits is loaded instead."""
        return self.field.overflow.value == "clamp"


def content_cells(
    output: Sequence[Field], columns: Mapping[str, str], absent: Sequence[str] = ()
) -> tuple[tuple[ContentCell, ...], tuple[Field, ...]]:
    """The cells of rows with these fields, and the fields that have no text that both sides write alike: of type
    VARIANT, or in a column of another type than pgsnow creates. columns: name → type of the target's columns as they
    are. absent: source columns that are loaded as NULL."""
    cells = [(_cell(field, columns.get(field.target), field.source in absent), field) for field in output]
    return tuple(cell for cell, _ in cells if cell), tuple(field for cell, field in cells if not cell)


def _cell(field: Field, column: str | None, absent: bool) -> ContentCell | None:
    wanted = ColumnType.parse(field.type.snowflake)
    have = ColumnType.parse(column) if column is not None else wanted
    if have.family == "TIMESTAMP_LTZ" and wanted.family == "TIMESTAMP_TZ":
        have = ColumnType("TIMESTAMP_TZ", have.arguments)
    if have.family != wanted.family or have.family == "VARIANT":
        return None
    if have.family == "NUMBER":
        digits = digits_of(field.type.carried)
        scale = have.arguments[1]
        fits = scale >= (digits[1] if digits else 0)
        return ContentCell(field, have.family, scale, absent=absent) if fits else None
    changes = field.overflow in NEVER_OF_KEYS
    limit = have.arguments[0] if changes and have.family in _LENGTHS and have.arguments else None
    return ContentCell(field, have.family, limit=limit, absent=absent)
