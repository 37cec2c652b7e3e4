"""The mapping of one type: how it is read from Postgres, carried in Arrow and stored in Snowflake.

Arrow types are given by name, because an idle tick makes plans without importing pyarrow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from pgsnow.model.types.overflow import Overflow

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_LIMIT = 16_777_216
"""Bytes of UTF-8 a VARCHAR or VARIANT holds unless a longer one is declared."""
BINARY_LIMIT = 8_388_608
KEEP_LAST = ", 'd'"
"""PARSE_JSON's option that keeps the last value of a key that an object has twice."""
_TEMPORAL = ("date32", "time64", "timestamp")
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)\Z")


@dataclass(frozen=True)
class TypeMapping:
    """The mapping of one Postgres type.

    read: the SELECT expression, with `{c}` for the quoted column.
    sent: the SELECT expression for a COPY, if the decoder makes the value of `read` from it at less cost; '' if not.
    carried: the name of the Arrow type in batches and in Parquet.
    staged: the Snowflake type in the staging table. snowflake: the one in the target.
    merge: the expression for the target's value, with `{c}` for the staged column.
    kind: pg_type.typtype of the types that it applies to.
    note: for the documentation: which values arrive exactly, and which do not.
    plain_json: it is read as JSON that has neither numbers with exponents nor escaped surrogates.
    conversion: a short phrase for what `read` changes, such as `lower case`; '' for what has always been read so. It is
    stored with the source's definition: if it changes, rows loaded before hold another form and are read again.
    """

    postgres: str
    read: str
    carried: str
    snowflake: str
    staged: str
    merge: str = "{c}"
    low_cardinality: bool = False
    kind: str = "b"
    own_text: str = ""
    note: str = ""
    plain_json: bool = False
    conversion: str = ""
    sent: str = ""

    @cached_property
    def arrow(self) -> pa.DataType:
        """The Arrow type in batches and in Parquet. Imports pyarrow."""
        return arrow_type(self.carried)

    @property
    def has_bounds(self) -> bool:
        """True if the values of a batch lie between its smallest and its largest one in Snowflake, too: whole numbers,
        dates and times, and texts, which a key has without a collation. Not doubles, of which NaN is no number."""
        ordered = self.carried.startswith(("int", "date32", "timestamp", "string"))
        return self.merge == "{c}" and (ordered or (digits_of(self.carried) or (0, 1))[1] == 0)

    @property
    def text(self) -> str:
        """The SELECT expression for the value as Postgres's own text, for comparisons."""
        return self.own_text or f"({self.read})::text"


@dataclass(frozen=True, slots=True)
class Field:
    """One column from source to target. source: its name in Postgres and in Arrow batches. target: in Snowflake."""

    source: str
    target: str
    type: TypeMapping
    nullable: bool = True
    key: bool = False
    computed: bool = False
    """True for a column that the transform adds; it is not read."""
    overflow: Overflow = Overflow.REJECT
    """Handling of values that the type cannot hold. TEXT only affects the choice of the type."""


def as_text(name: str, note: str, *, read: str = "{c}::text", kind: str = "b") -> TypeMapping:
    """A type that is read as text and stored as text."""
    return TypeMapping(name, read, "string", "VARCHAR", "VARCHAR", kind=kind, note=note)


def as_variant(
    name: str,
    note: str,
    *,
    read: str,
    duplicates: bool = False,
    kind: str = "b",
    own_text: str = "",
    plain_json: bool = False,
) -> TypeMapping:
    """A type that is read as JSON text and stored as a VARIANT.

    duplicates: objects may have duplicate keys. PARSE_JSON then needs the option `'d'`, which keeps the last value, as
    jsonb does; without it the whole MERGE fails (Snowflake docs, "PARSE_JSON").
    """
    merge = f"PARSE_JSON({{c}}{KEEP_LAST if duplicates else ''})"
    return TypeMapping(
        name, read, "string", "VARIANT", "VARCHAR", merge,
        kind=kind, own_text=own_text, note=note, plain_json=plain_json,
    )  # fmt: skip


def without_overflow(mapping: TypeMapping) -> TypeMapping:
    """The mapping of the type to text, which holds all of its values; unchanged if text would not hold more."""
    if mapping.snowflake == "VARIANT":
        return replace(mapping, snowflake="VARCHAR", merge="{c}")
    if digits_of(mapping.carried) or mapping.carried.startswith(_TEMPORAL):
        return as_text(mapping.postgres, mapping.note)
    return mapping


def decimal(precision: int, scale: int) -> str:
    """The name of Arrow's decimal type."""
    return f"decimal128({precision}, {scale})"


def digits_of(name: str) -> tuple[int, int] | None:
    """(precision, scale) of a decimal; None for other types."""
    match = _DECIMAL.match(name)
    return (int(match[1]), int(match[2])) if match else None


@cache
def arrow_type(name: str) -> pa.DataType:
    """The Arrow type with this name (its `str`). Raises KeyError for types that no mapping uses."""
    import pyarrow as pa  # not at the top: an idle tick does without it

    if digits := digits_of(name):
        return pa.decimal128(*digits)
    known = (
        pa.null(), pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
        pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", tz="UTC"),
    )  # fmt: skip
    return {str(kind): kind for kind in known}[name]
