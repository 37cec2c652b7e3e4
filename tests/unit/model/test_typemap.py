"""Which mapping a column gets: by its name and kind, and by what its `on_overflow` makes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from pgsnow.model.config.sync_config import TableConfig, parse_config
from pgsnow.model.plan import fields_of
from pgsnow.model.table import Column, SourceName, SourceTable
from pgsnow.model.types.mapping import TypeMapping
from pgsnow.model.types.overflow import Overflow
from pgsnow.model.types.type_rules import mapping_named, mapping_of

LOADED: dict[str, Any] = {"source": "public.t", "target": "t", "pk": "id", "watermark_column": "at"}


def column(
    type_name: str, *, kind: str = "b", category: str = "U", typmod: int = -1, name: str = "c"
) -> Column:
    return Column(name, 1, type_name, 0, typmod, kind, category, not_null=False)


def way(mapping: TypeMapping) -> tuple[str, str, str, str]:
    return mapping.read, mapping.staged, mapping.snowflake, mapping.merge


@pytest.mark.parametrize("name", ["geometry", "geography"])
def test_postgis_travels_as_geojson_with_all_its_decimals(name: str) -> None:
    assert way(mapping_of(column(name))) == ("ST_AsGeoJSON({c}, 15)", "VARCHAR", "VARCHAR", "{c}")


@pytest.mark.parametrize("name", ["vector", "halfvec"])
def test_pgvector_is_a_json_array(name: str) -> None:
    assert way(mapping_of(column(name))) == ("{c}::text", "VARCHAR", "VARIANT", "PARSE_JSON({c})")


@pytest.mark.parametrize("name", ["sparsevec", "citext", "ltree", "xml", "a_type_nobody_knows"])
def test_types_that_are_text_travel_as_it(name: str) -> None:
    assert way(mapping_of(column(name))) == ("{c}::text", "VARCHAR", "VARCHAR", "{c}")


@pytest.mark.parametrize(
    ("mapping", "merge"),
    [
        (mapping_of(column("json")), "PARSE_JSON({c}, 'd')"),
        (mapping_of(column("_json", category="A")), "PARSE_JSON({c}, 'd')"),
        (mapping_of(column("pair", kind="c", category="C")), "PARSE_JSON({c}, 'd')"),
        (mapping_of(column("jsonb")), "PARSE_JSON({c})"),
    ],
)
def test_json_that_may_name_a_key_twice_is_parsed_so_that_this_is_no_error(
    mapping: TypeMapping, merge: str
) -> None:
    assert mapping.merge == merge


@pytest.mark.parametrize("name", ["money", "json", "numeric", "date", "int4range", "text"])
def test_an_enum_is_an_enum_whatever_its_name(name: str) -> None:
    mapping = mapping_of(column(name, kind="e", category="E"))
    assert way(mapping) == ("{c}::text", "VARCHAR", "VARCHAR", "{c}")
    assert mapping.low_cardinality


def types(**keys: Any) -> dict[str, tuple[str, Overflow]]:
    """source column → (Snowflake type, on_overflow) of a table with a column of many types."""
    names = [
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "json",
        "jsonb",
        "int8",
        "float8",
        "bytea",
        "text",
        "numeric",
    ]
    columns = [
        column("date", name="id"),
        *(column(n, name=n, typmod=((5 << 16) | 2) + 4 if n == "numeric" else -1) for n in names),
    ]
    source = SourceTable(SourceName("public", "t"), 1, "r", tuple(columns))
    return {f.source: (f.type.snowflake, f.overflow) for f in fields_of(loaded(**keys), source, ("id",))}


def loaded(**keys: Any) -> TableConfig:
    config = parse_config({"tables": [{**LOADED, **keys}]}, file="f.yaml", env={})
    return config.tables[0]


def test_text_makes_a_varchar_of_what_text_holds_more_of() -> None:
    kept = {"int8": "NUMBER(38,0)", "float8": "FLOAT", "bytea": "BINARY"}
    made = types(on_overflow="text")
    assert {name: kind for name, (kind, _) in made.items() if kind != "VARCHAR"} == kept
    assert {overflow for _, overflow in made.values()} == {Overflow.TEXT}


def test_a_columns_own_choice_stands_and_the_tables_holds_for_the_others() -> None:
    made = types(on_overflow="null", columns={"on_overflow": {"date": "text", "time": "clamp"}})
    assert made["date"] == ("VARCHAR", Overflow.TEXT)
    assert made["time"] == ("TIME(6)", Overflow.CLAMP)
    assert made["numeric"] == ("NUMBER(5,2)", Overflow.NULL)


@pytest.mark.parametrize("how", ["null", "clamp"])
def test_a_tables_choice_changes_no_key(how: str) -> None:
    assert types(on_overflow=how)["id"] == ("DATE", Overflow.REJECT)
    assert types(on_overflow="text")["id"] == ("VARCHAR", Overflow.TEXT)


def test_a_bare_null_in_yaml_means_null() -> None:
    assert loaded(on_overflow=None).on_overflow is Overflow.NULL
    assert loaded(columns={"on_overflow": {"a": None}}).columns.on_overflow == {"a": Overflow.NULL}


def test_only_arrays_of_postgres_own_plain_types_are_plain_json() -> None:
    """Somebody's own type called text may hold JSON with any number in it."""
    texts = Column("c", 1, "_text", 1009, -1, "b", "A", not_null=False)
    assert mapping_of(texts).plain_json
    assert not mapping_of(replace(texts, type_oid=123_456)).plain_json
    assert not mapping_of(replace(texts, type_name="_float8", type_oid=1022)).plain_json


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("NUMBER(20,4)", "numeric(20,4)"),
        ("number ( 20 , 4 )", "numeric(20,4)"),
        ("NUMBER(12)", "numeric(12,0)"),
        ("NUMBER", "numeric(38,0)"),
        ("DECIMAL(20, 4)", "numeric(20,4)"),
        ("dec(5,2)", "numeric(5,2)"),
        ("numeric", "numeric"),
        ("STRING", "text"),
        ("VARCHAR", "varchar"),
        ("character varying", "varchar"),
        ("DOUBLE", "float8"),
        ("FLOAT", "float8"),
        ("BYTEINT", "int8"),
        ("BINARY", "bytea"),
        ("VARIANT", "json"),
        ("TIMESTAMP_NTZ(6)", "timestamp"),
        ("TIMESTAMP_TZ", "timestamptz"),
        ("timestamp(6) with time zone", "timestamptz"),
        ("DATETIME", "timestamp"),
        ("time(6) without time zone", "time"),
    ],
)
def test_a_type_may_be_written_as_postgres_or_as_snowflake_writes_it(written: str, means: str) -> None:
    assert mapping_named(written).postgres == means


@pytest.mark.parametrize(
    "written", ["NUMBER(39,0)", "NUMBER(20,", "NUMBER()", "TIMESTAMP_NTZ(3)", "VARCHAR(10)"]
)
def test_a_type_that_would_not_hold_what_it_says_is_unknown(written: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(written))):
        mapping_named(written)
