"""Which existing column may take which values: only what lands unchanged."""

from __future__ import annotations

import pytest

from pgsnow.model.evolution.column_mapping import shadow_name
from pgsnow.model.table import Column
from pgsnow.model.types.snowflake_types import ColumnType, can_take, widened
from pgsnow.model.types.type_rules import mapping_named, mapping_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NUMBER(38,0)", ColumnType("NUMBER", (38, 0))),
        ("NUMBER", ColumnType("NUMBER", (38, 0))),
        ("decimal(12, 2)", ColumnType("NUMBER", (12, 2))),
        ("NUMBER(5)", ColumnType("NUMBER", (5, 0))),
        ("VARCHAR(16777216)", ColumnType("VARCHAR", (16_777_216,))),
        ("TEXT", ColumnType("VARCHAR")),
        ("TIMESTAMP_NTZ(9)", ColumnType("TIMESTAMP_NTZ", (9,))),
        ("TIME", ColumnType("TIME", (9,))),
        ("DOUBLE", ColumnType("FLOAT")),
        ("VECTOR(FLOAT, 3)", ColumnType("VECTOR(FLOAT, 3)")),
    ],
)
def test_a_described_type_is_understood(text: str, expected: ColumnType) -> None:
    assert ColumnType.parse(text) == expected


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("smallint", "NUMBER(5,0)"),
        ("int", "NUMBER(12,2)"),
        ("int", "FLOAT"),
        ("bigint", "NUMBER(38,0)"),
        ("bigint", "NUMBER(19,0)"),
        ("numeric(12,2)", "NUMBER(12,2)"),
        ("numeric(12,2)", "NUMBER(38,10)"),
        ("double precision", "FLOAT"),
        ("text", "VARCHAR(16777216)"),
        ("text", "VARCHAR(10)"),
        ("bytea", "BINARY(8388608)"),
        ("timestamptz", "TIMESTAMP_TZ(9)"),
        ("timestamptz", "TIMESTAMP_LTZ(6)"),
        ("timestamp", "TIMESTAMP_NTZ(6)"),
        ("time", "TIME(9)"),
        ("jsonb", "VARIANT"),
        ("date", "DATE"),
        ("boolean", "BOOLEAN"),
    ],
)
def test_a_column_that_holds_every_value_is_taken(kind: str, column: str) -> None:
    assert can_take(column, mapping_named(kind))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("int", "NUMBER(9,0)"),
        ("int", "NUMBER(11,2)"),
        ("bigint", "NUMBER(18,0)"),
        ("bigint", "FLOAT"),
        ("bigint", "VARCHAR(100)"),
        ("numeric(12,2)", "NUMBER(12,1)"),
        ("numeric(12,2)", "NUMBER(13,4)"),
        ("numeric(12,2)", "FLOAT"),
        ("double precision", "NUMBER(38,10)"),
        ("text", "NUMBER(38,0)"),
        ("text", "VARIANT"),
        ("timestamptz", "TIMESTAMP_NTZ(9)"),
        ("timestamp", "TIMESTAMP_TZ(9)"),
        ("timestamptz", "TIMESTAMP_TZ(3)"),
        ("time", "TIME(0)"),
        ("jsonb", "VARCHAR(16777216)"),
        ("jsonb", "OBJECT"),
        ("boolean", "NUMBER(1,0)"),
    ],
)
def test_a_column_that_would_change_a_value_is_refused(kind: str, column: str) -> None:
    assert not can_take(column, mapping_named(kind))


ALL_NAMES = [
    "int2",
    "int4",
    "int8",
    "oid",
    "float4",
    "float8",
    "bool",
    "text",
    "varchar",
    "bpchar",
    "name",
    "uuid",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "json",
    "jsonb",
    "hstore",
    "money",
]


@pytest.mark.parametrize("name", [*ALL_NAMES, "numeric(1,0)", "numeric(38,0)", "numeric(38,37)", "numeric"])
def test_the_column_that_pgsnow_makes_takes_what_it_was_made_for(name: str) -> None:
    mapping = mapping_named(name)
    assert can_take(mapping.snowflake, mapping)


def test_an_array_goes_into_the_variant_made_for_it() -> None:
    mapping = mapping_of(Column("tags", 1, "_text", 1009, -1, "b", "A", not_null=False))
    assert can_take(mapping.snowflake, mapping)


def test_a_text_with_a_collation_takes_every_text_and_is_not_widened() -> None:
    """DESCRIBE shows the collation behind the type; `utf8` and none compare by characters' codes."""
    texts = mapping_named("text")
    assert can_take("VARCHAR(16777216) COLLATE 'en-ci'", texts)
    assert ColumnType.parse("VARCHAR(20) COLLATE 'en-ci'") == ColumnType("VARCHAR", (20,), "en-ci")
    assert ColumnType.parse("VARCHAR(20) COLLATE 'utf8'") == ColumnType.parse("VARCHAR(20)")
    assert widened("VARCHAR(20) COLLATE 'en-ci'", texts, 30) is None
    assert widened("VARCHAR(20)", texts, 30) == "VARCHAR(30)"


def test_a_shadow_columns_name_is_no_longer_than_snowflake_allows() -> None:
    """Also with a number appended to it."""
    name = shadow_name("N" * 255, "NUMBER(12,4)")
    assert name.endswith("__NUMBER_12_4")
    assert len(f"{name}_9999") <= 255
