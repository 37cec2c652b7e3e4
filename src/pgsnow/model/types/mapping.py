"""One type on its whole way: how it is read from Postgres, carried in Arrow and kept in Snowflake."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from pgsnow.model.types.overflow import Overflow

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_LIMIT = 16_777_216
"""Bytes of UTF-8 a VARCHAR or VARIANT holds unless a longer one is declared."""
BINARY_LIMIT = 8_388_608
_TEMPORAL = ("date32", "time64", "timestamp")
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)\Z")


@dataclass(frozen=True, slots=True)
class TypeMapping:
    """One type on its whole way.

    read: the SELECT expression, `{c}` standing for the quoted column.
    carried: the name of the type in Arrow batches and in Parquet.
    staged: the Snowflake type in the staging table; snowflake: in the target.
    merge: how the target's value comes from the staged column, `{c}` standing for it.
    kind: pg_type.typtype of the types that this is for.
    note: for people: what arrives exactly, and what does not.
    plain_json: it travels as JSON that has neither exponents nor escapes of surrogates.
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

    @property
    def arrow(self) -> pa.DataType:
        """The type in Arrow batches and in Parquet. Imports pyarrow."""
        return arrow_type(self.carried)

    @property
    def text(self) -> str:
        """The SELECT expression of the same value as Postgres's own text, for comparisons."""
        return self.own_text or f"({self.read})::text"


@dataclass(frozen=True, slots=True)
class Field:
    """One column from source to target. `source` is its name in Arrow batches, `target` in Snowflake."""

    source: str
    target: str
    type: TypeMapping
    nullable: bool = True
    key: bool = False
    computed: bool = False
    """True for a column that the transform adds: there is nothing to read."""
    overflow: Overflow = Overflow.REJECT
    """What becomes of values that the type cannot hold. TEXT has chosen the type already and does no more."""


def as_text(name: str, note: str, *, read: str = "{c}::text", kind: str = "b") -> TypeMapping:
    """A type that travels as text and stays text."""
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
    """A type that travels as JSON text and becomes a VARIANT.

    duplicates: an object may name a key twice. PARSE_JSON refuses that, and with it the whole MERGE, unless told
    `'d'`; then the last value stays, as in jsonb (Snowflake docs, "PARSE_JSON").
    """
    merge = "PARSE_JSON({c}, 'd')" if duplicates else "PARSE_JSON({c})"
    return TypeMapping(
        name, read, "string", "VARIANT", "VARCHAR", merge,
        kind=kind, own_text=own_text, note=note, plain_json=plain_json,
    )  # fmt: skip


def without_overflow(mapping: TypeMapping) -> TypeMapping:
    """The same type kept as text, which holds every value of it; itself if that would hold no more."""
    if mapping.snowflake == "VARIANT":
        return replace(mapping, snowflake="VARCHAR", merge="{c}")
    if digits_of(mapping.carried) or mapping.carried.startswith(_TEMPORAL):
        return as_text(mapping.postgres, mapping.note)
    return mapping


def decimal(precision: int, scale: int) -> str:
    """The name of a decimal type."""
    return f"decimal128({precision}, {scale})"


def digits_of(name: str) -> tuple[int, int] | None:
    """(precision, scale) of a decimal; None for other types."""
    match = _DECIMAL.match(name)
    return (int(match[1]), int(match[2])) if match else None


@cache
def arrow_type(name: str) -> pa.DataType:
    """The type that Arrow itself writes so (`str(type)`). Raises KeyError for one that no mapping uses."""
    import pyarrow as pa  # an idle tick makes plans and has no rows: it is spared this import

    if digits := digits_of(name):
        return pa.decimal128(*digits)
    known = (
        pa.null(), pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
        pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", tz="UTC"),
    )  # fmt: skip
    return {str(kind): kind for kind in known}[name]
