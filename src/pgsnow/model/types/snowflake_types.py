"""Types of Snowflake columns: which values they can hold, and how they can be widened.

Source: Snowflake docs, "Summary of data types"; types are as DESCRIBE TABLE writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from pgsnow.model.types.mapping import TypeMapping, digits_of

FLOAT_DIGITS = 15
"""Decimal digits that a double holds exactly."""
MICROSECONDS = 6
"""Fractional digits of a second that Postgres stores."""
_FORM = re.compile(
    r"\s*([A-Za-z_]+)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*)?(?:COLLATE\s+'([^']*)'\s*)?\Z", re.IGNORECASE
)
_BY_CODE = ("", "utf8")
"""Collations that compare texts by the codes of their characters (Snowflake docs, "Collation support")."""
_SYNONYMS = {
    "NUMBER": ("DECIMAL", "DEC", "NUMERIC", "INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"),
    "FLOAT": ("FLOAT4", "FLOAT8", "DOUBLE", "REAL"),
    "VARCHAR": ("TEXT", "STRING", "CHAR", "CHARACTER", "NCHAR", "NVARCHAR"),
    "BINARY": ("VARBINARY",),
    "TIMESTAMP_NTZ": ("DATETIME",),
}
_FAMILY = {synonym: family for family, names in _SYNONYMS.items() for synonym in names}
_DEFAULTS = {
    "NUMBER": (38, 0),
    "TIME": (9,),
    "TIMESTAMP_NTZ": (9,),
    "TIMESTAMP_LTZ": (9,),
    "TIMESTAMP_TZ": (9,),
}
_ANY_VALUE = frozenset({"FLOAT", "BOOLEAN", "VARCHAR", "BINARY", "DATE", "VARIANT"})
"""Families whose columns can hold every value of a mapping to the same family."""
_TIMES = frozenset(
    {
        ("TIME", "TIME"),
        ("TIMESTAMP_NTZ", "TIMESTAMP_NTZ"),
        ("TIMESTAMP_TZ", "TIMESTAMP_TZ"),
        ("TIMESTAMP_TZ", "TIMESTAMP_LTZ"),
    }
)
"""(needed, existing) families of times, which differ only in the digits of a second."""
_INTEGER_DIGITS = {"int16": 5, "int32": 10, "int64": 19}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """`NUMBER(38,0)` → ("NUMBER", (38, 0)). A type in an unknown form is a family of its own, which can hold
    nothing. collation: of a text, if it compares texts otherwise than by the codes of their characters."""

    family: str
    arguments: tuple[int, ...] = ()
    collation: str = ""

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        match = _FORM.match(text)
        if match is None:
            return cls(text)
        family = _FAMILY.get(match[1].upper(), match[1].upper())
        given = tuple(int(part) for part in match.groups()[1:3] if part is not None)
        default = _DEFAULTS.get(family, ())
        collation = match[4] or ""
        return cls(family, given + default[len(given) :], "" if collation.lower() in _BY_CODE else collation)


@cache
def can_take(column: str, mapping: TypeMapping) -> bool:
    """True if a column of this type can hold every value of the mapping unchanged. The length of texts and binaries is
    not considered; the loader checks it row by row."""
    have, need = ColumnType.parse(column), ColumnType.parse(mapping.snowflake)
    if (need.family, have.family) in _TIMES:
        return have.arguments[0] >= MICROSECONDS
    if need.family != "NUMBER":
        return have.family == need.family and need.family in _ANY_VALUE
    before, after = _digits(mapping)
    if have.family == "FLOAT":
        return after == 0 and before <= FLOAT_DIGITS
    return (
        have.family == "NUMBER"
        and have.arguments[0] - have.arguments[1] >= before
        and have.arguments[1] >= after
    )


def _digits(mapping: TypeMapping) -> tuple[int, int]:
    """Number of digits (before, after) the decimal point."""
    if decimal := digits_of(mapping.carried):
        precision, scale = decimal
        return precision - scale, scale
    return _INTEGER_DIGITS.get(mapping.carried, 38), 0


def widened(column: str, mapping: TypeMapping, length: int | None = None) -> str | None:
    """The type to which a column of this type can be altered in place so that it holds the mapping's values too, or
    None.

    Snowflake allows more digits with the same scale, and longer texts (Snowflake docs, "ALTER TABLE … ALTER COLUMN");
    the docs do not say what becomes of a column's collation. length: maximum number of characters of the source's
    type, None if it has none.
    """
    have, need = ColumnType.parse(column), ColumnType.parse(mapping.snowflake)
    if have.collation:
        return None
    if have.family == need.family == "VARCHAR":
        return f"VARCHAR({length})" if length and have.arguments and have.arguments[0] < length else None
    if have.family != "NUMBER" or need.family != "NUMBER" or can_take(column, mapping):
        return None
    before, after = _digits(mapping)
    _, scale = have.arguments
    if after > scale or before + scale > _DEFAULTS["NUMBER"][0]:
        return None
    return f"NUMBER({before + scale},{scale})"


def is_wider(column: str, than: str) -> bool:
    """True if a column of this type is as wide as one of type `than`, or wider, in the sense of `widened`."""
    have, other = ColumnType.parse(column), ColumnType.parse(than)
    if have.family != other.family or have.arguments[1:] != other.arguments[1:]:
        return False
    return not have.arguments or (bool(other.arguments) and have.arguments[0] >= other.arguments[0])
