"""Columns of a table on its page: in which type their values arrive, and what is not exact about that."""

from __future__ import annotations

import pytest

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.operations.status.columns import ColumnLine, column_lines


def line_of(column: ColumnDefinition, **keys: object) -> ColumnLine:
    entry = {"source": "public.t", "target": "a.t", "pk": "id", "watermark_column": "u", **keys}
    config = parse_config({"tables": [entry]}, file="f", env={}).tables[0]
    [found] = column_lines(config, SourceDefinition(1, "public.t", "r", "A.T", ("id",), columns=(column,)))
    return found


@pytest.mark.parametrize(
    ("type_text", "snowflake", "exact", "note"),
    [
        ("bigint", "NUMBER(38,0)", True, "Exact."),
        ("character varying(20)", "VARCHAR", True, "Exact"),
        ("character(3)", "VARCHAR", True, "padding included"),
        ('"char"', "VARCHAR", True, "one-byte"),
        ("timestamp(3) with time zone", "TIMESTAMP_TZ(6)", True, "in UTC"),
        ("time with time zone", "VARCHAR", True, "offset"),
        ("numeric(12,2)", "NUMBER(12,2)", True, "Exact"),
        ("numeric(50,10)", "VARCHAR", True, "38 digits"),
        ("numeric", "VARCHAR", True, "131,072"),
        ("money", "VARCHAR", False, "currency is lost"),
        ("real", "FLOAT", False, "shortest decimal"),
        ("json", "VARIANT", False, "lost"),
        ("integer[]", "VARIANT", False, "lower bounds are lost"),
        ("shop.geometry(Point,4326)", "VARCHAR", False, "SRID"),
        ("shop.colour_code", "VARCHAR", True, "Its own text"),
        ("shop.address", "VARIANT", True, "by attribute"),
    ],
)
def test_a_type_is_known_by_the_text_that_the_ledger_keeps(
    type_text: str, snowflake: str, exact: bool, note: str
) -> None:
    """The page explains each column from the ledger alone; the text is that of format_type()."""
    found = line_of(ColumnDefinition(1, "c", type_text, snowflake, target="C", holds=snowflake))
    assert (found.exact, found.target_type) == (exact, snowflake)
    assert note in found.note


def test_what_the_configuration_changes_is_said() -> None:
    """Values that `on_overflow` changes, another type, and a column that is not loaded are not exact."""
    date = ColumnDefinition(1, "c", "date", "DATE", target="C", holds="DATE")
    assert not line_of(date, on_overflow="clamp").exact
    assert "on_overflow: clamp" in line_of(date, on_overflow="clamp").note
    assert "VARCHAR" in line_of(ColumnDefinition(1, "c", "date", "VARCHAR", target="C")).note
    assert line_of(ColumnDefinition(1, "c", "date", "DATE")).note == "Not loaded."
    assert line_of(ColumnDefinition(None, "added", snowflake="VARCHAR", target="ADDED")).note.startswith(
        "Added"
    )
