"""Every type of the type map arrives exactly, by either method, with NULL and '' apart."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.table import Column, TargetName
from pgsnow.model.types.mapping import Field, TypeMapping
from pgsnow.model.types.type_rules import mapping_named, mapping_of
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from tests.integration.snowflake.units import ID, exact_json, load_unit, rows_of, write_unit

BOTH = pytest.mark.parametrize("method", ["files", "bound", "stage", "insert"])
D = Decimal
TEXTS = ["", " ", "null", "NULL", "\\N", 'it\'s "q" \\ back\n\ttab', "Grüße 東京 \U0001f600", "x" * 100_000]
JSONS = [
    "null",
    '""',
    "{}",
    "[]",
    "1",
    "12345678901234567890.123",
    "-0.1",
    "true",
    '"é\\u0001\\"\\\\"',
    '{"a": [1, null, {"b": ""}], "ünï": "\U0001f600"}',
]
FLOATS = [0.1, -2.5, 1.7976931348623157e308, 5e-324, math.inf, -math.inf, math.nan]
STAMPS = [
    datetime(1, 1, 1),
    datetime(1969, 12, 31, 23, 59, 59, 999_999),
    datetime(9999, 12, 31, 23, 59, 59, 999_999),
]


def _other(type_name: str, kind: str = "b", category: str = "U", typmod: int = -1) -> TypeMapping:
    return mapping_of(Column("c", 1, type_name, 0, typmod, kind, category, not_null=False))


CASES: list[tuple[str, TypeMapping, list[Any]]] = [
    ("int2", mapping_named("int2"), [-32768, 0, 32767]),
    ("int4", mapping_named("int4"), [-(2**31), 2**31 - 1]),
    ("int8", mapping_named("int8"), [-(2**63), 2**63 - 1]),
    ("oid", mapping_named("oid"), [0, 2**32 - 1]),
    ("numeric(1,0)", mapping_named("numeric(1,0)"), [D(-9), D(9)]),
    ("numeric(12,2)", mapping_named("numeric(12,2)"), [D("-9999999999.99"), D("0.01"), D("0.10")]),
    ("numeric(20,20)", mapping_named("numeric(20,20)"), [D("0.00000000000000000001")]),
    (
        "numeric(38,10)",
        mapping_named("numeric(38,10)"),
        [D("9" * 28 + "." + "9" * 10), D("-" + "9" * 28 + ".0000000001")],
    ),
    ("numeric(38,37)", mapping_named("numeric(38,37)"), [D("9." + "9" * 37), D("-0." + "0" * 36 + "1")]),
    ("numeric", mapping_named("numeric"), ["NaN", "Infinity", "1" + "0" * 100, "-0.000"]),
    ("float4", mapping_named("float4"), [0.5, -2.5, math.inf, -math.inf, math.nan, 3.4028234663852886e38]),
    ("float8", mapping_named("float8"), FLOATS),
    ("bool", mapping_named("bool"), [True, False]),
    ("text", mapping_named("text"), TEXTS),
    ("varchar", mapping_named("varchar"), TEXTS),
    ("bpchar", mapping_named("bpchar"), ["ab   ", ""]),
    ("name", mapping_named("name"), ["users"]),
    ("uuid", mapping_named("uuid"), ["00000000-0000-0000-0000-000000000000"]),
    ("bytea", mapping_named("bytea"), [b"", b"\x00\xff", b"00ff", bytes(range(256))]),
    ("date", mapping_named("date"), [date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]),
    ("time", mapping_named("time"), [time(0), time(23, 59, 59, 999_999)]),
    ("timestamp", mapping_named("timestamp"), STAMPS),
    ("timestamptz", mapping_named("timestamptz"), [stamp.replace(tzinfo=UTC) for stamp in STAMPS]),
    ("json", mapping_named("json"), JSONS),
    ("jsonb", mapping_named("jsonb"), JSONS),
    ("hstore", mapping_named("hstore"), ['{"a": null, "b": ""}']),
    ("money", mapping_named("money"), ["-92233720368547758.08"]),
    ("text[]", _other("_text", category="A"), ['["a", null, "b,c", ""]', "[]", '[["a"], ["b"]]']),
    ("composite", _other("address", kind="c", category="C"), ['{"street": null}']),
    ("enum", _other("mood", kind="e", category="E"), ["sad", "ok"]),
    ("interval", _other("interval", category="T"), ["1 mon -2 days +03:00:00.000001"]),
]


def _expected(mapping: TypeMapping, value: Any) -> Any:
    return exact_json(value) if mapping.snowflake == "VARIANT" else value


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    return type(left) is type(right) and left == right


@BOTH
def test_every_type_arrives_exactly_and_null_stays_null(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    output = (ID, *(Field(name, f"C{at}", kind) for at, (name, kind, _) in enumerate(CASES)))
    longest = max(len(values) for _, _, values in CASES)
    rows = [
        (at, *(values[at] if at < len(values) else None for _, _, values in CASES))
        for at in range(longest + 1)
    ]
    load_unit(session, target, write_unit(tmp_path, output, rows, fence=1), output=output, method=method)
    found = rows_of(session, target, output)
    assert len(found) == len(rows)
    for row in found:
        for (name, kind, values), value in zip(CASES, row[1:], strict=True):
            wanted = _expected(kind, values[row[0]]) if row[0] < len(values) else None
            assert _same(_number(kind, value), _number(kind, wanted)), (name, value, wanted)


def _number(kind: TypeMapping, value: Any) -> Any:
    return D(value) if kind.snowflake.startswith("NUMBER") and value is not None else value


@BOTH
def test_json_null_and_sql_null_stay_apart(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    output = (ID, Field("doc", "DOC", mapping_named("jsonb")))
    unit = write_unit(tmp_path, output, [(1, "null"), (2, None)], fence=1)
    load_unit(session, target, unit, output=output, method=method)
    statement = sql.select(target, (ID,), '"DOC" IS NULL')
    assert session.execute(statement).rows == [(2,)]


@BOTH
def test_whole_numbers_beyond_64_bits_are_never_stored_wrong(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    """The real service holds 38 digits; the emulator, which holds 64 bits, has to refuse them loudly."""
    output = (ID, Field("n", "N", mapping_named("numeric(38,0)")))
    values = [(1, D("9" * 38)), (2, D(2**63))]
    unit = write_unit(tmp_path, output, values, fence=1)
    try:
        load_unit(session, target, unit, output=output, method=method)
    except TargetQueryFailed:
        assert rows_of(session, target, output) == []
    else:
        assert [(at, D(value)) for at, value in rows_of(session, target, output)] == values


@BOTH
def test_a_double_at_both_ends_of_its_range_keeps_every_bit(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    output = (ID, Field("f", "F", mapping_named("float8")))
    values = [0.1 + 0.2, 1 / 3, 2.0**-1074, 2.0**1023, -1e-300, 123456789012345680.0]
    unit = write_unit(tmp_path, output, list(enumerate(values)), fence=1)
    load_unit(session, target, unit, output=output, method=method)
    assert [value for _, value in rows_of(session, target, output)] == values
