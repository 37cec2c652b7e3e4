"""How each Postgres type is read, carried in Arrow and kept in Snowflake.

Sources: PostgreSQL docs, "Data Types"; Snowflake docs, "Summary of data types" and "COPY INTO <table>" (Parquet).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from pgsnow.model.table import Column

MAX_PRECISION = 38
TEXT_LIMIT = 16_777_216
"""Bytes of UTF-8 a VARCHAR or VARIANT holds unless a longer one is declared."""
BINARY_LIMIT = 8_388_608


@dataclass(frozen=True, slots=True)
class TypeMapping:
    """One type on its whole way.

    read: the SELECT expression, `{c}` standing for the quoted column.
    arrow: the type in Arrow batches and in Parquet.
    staged: the Snowflake type in the staging table; snowflake: in the target.
    merge: how the target's value comes from the staged column, `{c}` standing for it.
    """

    postgres: str
    read: str
    arrow: pa.DataType
    snowflake: str
    staged: str
    merge: str = "{c}"
    low_cardinality: bool = False


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


def _mapping(postgres: str, arrow: pa.DataType, snowflake: str, **more: object) -> TypeMapping:
    base = {"read": "{c}", "staged": snowflake, **more}
    return TypeMapping(postgres=postgres, arrow=arrow, snowflake=snowflake, **base)  # type: ignore[arg-type]


_UTC_MICROS = pa.timestamp("us", tz="UTC")
_WHOLE = "NUMBER(38,0)"
_JSON = {"staged": "VARCHAR", "merge": "PARSE_JSON({c})"}

_EXACT = {
    m.postgres: m
    for m in (
        _mapping("int2", pa.int16(), _WHOLE),
        _mapping("int4", pa.int32(), _WHOLE),
        _mapping("int8", pa.int64(), _WHOLE),
        _mapping("oid", pa.int64(), _WHOLE, read="{c}::int8"),
        _mapping("float4", pa.float32(), "FLOAT"),
        _mapping("float8", pa.float64(), "FLOAT"),
        _mapping("bool", pa.bool_(), "BOOLEAN"),
        _mapping("text", pa.string(), "VARCHAR"),
        _mapping("varchar", pa.string(), "VARCHAR"),
        _mapping("bpchar", pa.string(), "VARCHAR"),
        _mapping("name", pa.string(), "VARCHAR"),
        _mapping("uuid", pa.string(), "VARCHAR", read="{c}::text"),
        _mapping("bytea", pa.binary(), "BINARY"),
        _mapping("date", pa.date32(), "DATE"),
        _mapping("time", pa.time64("us"), "TIME(6)"),
        _mapping("timestamp", pa.timestamp("us"), "TIMESTAMP_NTZ(6)"),
        _mapping("timestamptz", _UTC_MICROS, "TIMESTAMP_TZ(6)"),
        _mapping("json", pa.string(), "VARIANT", **_JSON),
        _mapping("jsonb", pa.string(), "VARIANT", **_JSON),
        _mapping("hstore", pa.string(), "VARIANT", read="{c}::jsonb::text", **_JSON),
        _mapping("money", pa.string(), "VARCHAR", read="{c}::numeric::text"),
    )
}


def numeric(precision: int, scale: int) -> TypeMapping:
    """numeric(p,s): exact as NUMBER where Snowflake holds it, as text otherwise."""
    name = f"numeric({precision},{scale})"
    if precision <= MAX_PRECISION and 0 <= scale <= precision and scale < MAX_PRECISION:
        return _mapping(name, pa.decimal128(precision, scale), f"NUMBER({precision},{scale})")
    return _text(name)


def _text(name: str, *, low_cardinality: bool = False) -> TypeMapping:
    return _mapping(name, pa.string(), "VARCHAR", read="{c}::text", low_cardinality=low_cardinality)


def _as_json(name: str) -> TypeMapping:
    return _mapping(name, pa.string(), "VARIANT", read="to_jsonb({c})::text", **_JSON)


def mapping_of(column: Column) -> TypeMapping:
    """The mapping of a source column. A type that is not known travels as its own text, exactly."""
    if column.type_name == "numeric":
        return _numeric_of(column.typmod)
    if known := _EXACT.get(column.type_name):
        return known
    if column.category == "A" or column.kind == "c":
        return _as_json(column.type_name)
    return _text(column.type_name, low_cardinality=column.kind == "e")


def _numeric_of(typmod: int) -> TypeMapping:
    if typmod == -1:
        return _text("numeric")
    packed = typmod - 4  # PostgreSQL source, numeric.c: make_numeric_typmod; the scale is signed since 15
    scale = ((packed & 0x7FF) ^ 1024) - 1024
    return numeric((packed >> 16) & 0xFFFF, scale)


_ALIASES = {
    "smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "real": "float4",
    "double precision": "float8", "boolean": "bool", "string": "text", "character varying": "varchar",
    "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp", "decimal": "numeric",
}  # fmt: skip
_NUMERIC = re.compile(r"(?:numeric|decimal)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\Z")


def mapping_named(text: str) -> TypeMapping:
    """The mapping of a type written by a person (`cast`, `adds`): `bigint`, `numeric(12,2)`. ValueError if unknown."""
    name = " ".join(text.lower().split())
    if match := _NUMERIC.match(name):
        mapping = numeric(int(match[1]), int(match[2] or 0))
        if mapping.snowflake == "VARCHAR":
            raise ValueError(f"{text!r}: Snowflake's NUMBER has at most 38 digits")
        return mapping
    name = _ALIASES.get(name, name)
    if name == "numeric":
        return _text("numeric")
    if name not in _EXACT:
        known = ", ".join(sorted(set(_EXACT) | {"numeric(p,s)"}))
        raise ValueError(f"{text!r} is not a known type; use one of {known}")
    return _EXACT[name]
