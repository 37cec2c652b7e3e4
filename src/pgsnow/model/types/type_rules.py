"""The rules that find the mapping of a Postgres type: by its name, else by its form (array, composite, enum, …)."""

from __future__ import annotations

import re
from dataclasses import replace

from pgsnow.model.table import Column
from pgsnow.model.types.mapping import TypeMapping, as_text, as_variant, decimal
from pgsnow.model.types.named_types import BY_NAME, EXACT_REAL

MAX_PRECISION = 38
_DIGITS_OF_64_BITS = 18
"""Numbers with more digits are read as text, which is cheaper."""
_TO_JSON = (
    "Exact, but values that JSON cannot express become strings: NaN, infinite numbers, bytes (`\\\\x00ff`), dates and"
    " times (infinite ones too), and all types that are mapped to text here. Overflows as json does."
)


def numeric(precision: int, scale: int) -> TypeMapping:
    """numeric(p,s): exact as a NUMBER if Snowflake can hold it, else as text."""
    name = f"numeric({precision},{scale})"
    if precision <= MAX_PRECISION and 0 <= scale <= precision and scale < MAX_PRECISION:
        exact = f"NUMBER({precision},{scale})"
        read = "{c}" if precision <= _DIGITS_OF_64_BITS else "{c}::text"
        return TypeMapping(
            name, read, decimal(precision, scale), exact, exact, note="Exact. `NaN` overflows."
        )
    return as_text(name, "Snowflake's NUMBER has 38 digits at most: exact as text.")


def unbounded_numeric() -> TypeMapping:
    """numeric without precision: up to 131,072 digits before the decimal point and 16,383 after it."""
    return as_text("numeric", "Exact as text, up to its 131,072 digits; `NaN` and the infinities too.")


def is_unbounded(column: Column) -> bool:
    """True for a numeric column without precision."""
    return column.type_name == "numeric" and column.kind == "b" and column.typmod == -1


def enum(name: str) -> TypeMapping:
    return replace(as_text(name, "Its label.", kind="e"), low_cardinality=True, sent="{c}")


def array(name: str, *, plain: bool = False) -> TypeMapping:
    """An array, read as JSON. plain: no element has a number with an exponent, or an escape.

    It uses to_json, because to_jsonb fails on an escaped NUL in a json element and rewrites its numbers.
    """
    note = f"A JSON array, nested if it has several dimensions; their lower bounds are lost. {_TO_JSON}"
    return as_variant(name, note, read="to_json({c})::text", duplicates=True, plain_json=plain)


def composite(name: str) -> TypeMapping:
    note = (
        f"A JSON object by attribute. {_TO_JSON} An attribute of type money is its text, such as `$1,001.01`."
    )
    return as_variant(name, note, read="to_json({c})::text", duplicates=True, kind="c")


def unknown(name: str, kind: str = "b") -> TypeMapping:
    return as_text(name, "Its own text: exact.", kind=kind)


_PLAIN_ARRAYS = frozenset(
    {
        *(1000, 1005, 1007, 1016, 1028, 1231),  # bool, int2, int4, int8, oid, numeric
        *(1003, 1009, 1014, 1015, 2951),  # name, text, bpchar, varchar, uuid
        *(1115, 1182, 1183, 1185),  # timestamp, date, time, timestamptz
    }
)
"""Oids of array types whose elements to_json writes as plain numbers, true, false, or strings.

https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat"""


def mapping_of(column: Column, *, exact_reals: bool = False, trims: bool = False) -> TypeMapping:
    """The mapping of a source column. An unknown type is mapped to its exact text.

    A type that has a known name but is of another kind (an enum called `money`) counts as unknown.
    exact_reals: `real_values: exact`. trims: `char_padding: trim`.
    """
    if column.type_name == "numeric" and column.kind == "b":
        return _numeric_of(column.typmod)
    known = BY_NAME.get(column.type_name)
    if known is not None and known.kind == column.kind:
        if trims and known.postgres == "bpchar":
            return replace(known, read="{c}::text", own_text="", conversion="without padding")
        return EXACT_REAL if exact_reals and known.postgres == "float4" else known
    if column.category == "A":
        return _array_of(column, exact_reals=exact_reals, trims=trims)
    if column.kind == "c":
        return composite(column.type_name)
    return enum(column.type_name) if column.kind == "e" else unknown(column.type_name, column.kind)


DECODED_ARRAYS = frozenset({1000, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 2951})
"""Oids of array types that the decoder of COPY writes as JSON: of bool, name, int2, int4, text, bpchar, varchar, int8,
uuid."""


def _array_of(column: Column, *, exact_reals: bool, trims: bool) -> TypeMapping:
    """An array whose elements are what single values of their type are."""
    plain = array(column.type_name, plain=column.type_oid in _PLAIN_ARRAYS)
    if column.type_oid in DECODED_ARRAYS and not (trims and column.element == "bpchar"):
        return replace(plain, sent="{c}")
    if column.element == "money":
        return replace(plain, read="to_json({c}::numeric[])::text", plain_json=True, conversion="numbers")
    if column.element == "float4" and exact_reals:
        return replace(plain, read="to_json({c}::float8[])::text", conversion="exact doubles")
    if column.element == "bpchar" and trims:
        return replace(plain, read="to_json({c}::text[])::text", conversion="without padding")
    return plain


def _numeric_of(typmod: int) -> TypeMapping:
    if typmod == -1:
        return unbounded_numeric()
    packed = typmod - 4  # PostgreSQL source, numeric.c: make_numeric_typmod; the scale is signed since 15
    scale = ((packed & 0x7FF) ^ 1024) - 1024
    return numeric((packed >> 16) & 0xFFFF, scale)


_ALIASES = {
    "smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "tinyint": "int8", "byteint": "int8",
    "real": "float4", "double precision": "float8", "double": "float8", "float": "float8",
    "boolean": "bool", "string": "text", "character varying": "varchar", "char varying": "varchar",
    "binary": "bytea", "varbinary": "bytea", "variant": "json",
    "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
    "timestamp_tz": "timestamptz", "timestamp_ntz": "timestamp", "datetime": "timestamp",
    "time without time zone": "time", "decimal": "numeric", "dec": "numeric",
}  # fmt: skip
"""Other names of types in PostgreSQL and in Snowflake (Snowflake docs, "Summary of data types") → the name here."""
_NUMBER = re.compile(r"(?:number|numeric|decimal|dec)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\Z")
_MICROSECONDS = re.compile(r"((?:timestamp|datetime|time)\w*)\s*\(\s*6\s*\)")
"""The precision that both sides have: `timestamp(6) with time zone`, `TIMESTAMP_NTZ(6)`."""
_WRITTEN = frozenset(
    {
        *("int2", "int4", "int8", "oid", "float4", "float8", "bool", "money"),
        *("text", "varchar", "bpchar", "name", "uuid", "bytea"),
        *("date", "time", "timestamp", "timestamptz", "json", "jsonb", "hstore"),
    }
)


def mapping_named(text: str) -> TypeMapping:
    """The mapping of a type in the configuration (`cast`, `adds`), as PostgreSQL or Snowflake writes it: `bigint`,
    `numeric(12,2)`, `NUMBER(12, 2)`, `TIMESTAMP_NTZ`. Raises ValueError if it is unknown."""
    name = _MICROSECONDS.sub(r"\1", " ".join(text.lower().split()))
    if match := _NUMBER.match("number(38, 0)" if name == "number" else name):
        mapping = numeric(int(match[1]), int(match[2] or 0))
        if mapping.snowflake == "VARCHAR":
            raise ValueError(
                f"{text!r}: Snowflake's NUMBER has at most 38 digits, 37 of them after the point"
            )
        return mapping
    name = _ALIASES.get(name, name)
    if name == "numeric":
        return unbounded_numeric()
    if name not in _WRITTEN:
        known = ", ".join(sorted(_WRITTEN | {"numeric(p,s)"}))
        raise ValueError(f"{text!r} is not a known type; use one of {known}")
    return BY_NAME[name]
