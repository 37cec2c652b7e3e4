"""The literal bounds in a MERGE's ON hold for every row of the batch, whatever its keys are."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgsnow.model.batch import KeyBounds, bounds_of_all
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.sql.statements import merge_from
from pgsnow.sync.pipeline.parquet import bounds_of

ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULIDS = st.text(ULID, min_size=25, max_size=25).map(lambda rest: f"0{rest}")
SEVENS = st.integers(0, 2**48 - 1).flatmap(
    lambda ms: st.integers(0, 2**74 - 1).map(lambda low: str(uuid.UUID(int=ms << 80 | 7 << 76 | low)))
)
KEYS = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "numeric(38,0)": st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
    "text": st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | ULIDS
    | SEVENS
    | st.uuids().map(str),
}
BETWEEN = " BETWEEN "


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, list[list[Any]]]:
    """The name of a type, and the keys of some batches."""
    kind = draw(st.sampled_from(sorted(KEYS)))
    return kind, draw(st.lists(st.lists(KEYS[kind], min_size=1, max_size=5), min_size=1, max_size=3))


def field_of(kind: str) -> Field:
    return Field("id", "ID", mapping_named(kind), key=True)


def condition(kind: str, lists: list[list[Any]]) -> str:
    field = field_of(kind)
    assert field.type.has_bounds
    bounds = bounds_of_all(bounds_of("ID", pa.array(keys, field.type.arrow)) for keys in lists)
    return conditions(bounds, kind)


def conditions(bounds: KeyBounds | None, kind: str) -> str:
    """The condition in the ON of a MERGE by one column of this type; "" if there is none."""
    field = field_of(kind)
    text = merge_from(TargetName("D", "S", "T"), "x AS r", [field], [field], "1", (), bounds)
    return text.partition('ON t."ID" = s."ID"')[2].partition(" WHEN ")[0].removeprefix(" AND ")


def values_of(found: str) -> list[Any]:
    """The values of the two literals, in the order of Python."""
    assert found.startswith('t."ID" BETWEEN ')
    low, _, high = found.partition(BETWEEN)[2].partition(" AND ")
    return [value_of(low), value_of(high)]


def value_of(literal: str) -> Any:
    constant, _, kind = literal.partition("::")
    if not kind:
        return constant[1:-1].encode() if constant.startswith("'") else int(constant)
    assert kind in ("DATE", "TIMESTAMP_NTZ(6)", "TIMESTAMP_TZ(6)")
    written = constant[1:-1]
    return date.fromisoformat(written) if kind == "DATE" else datetime.fromisoformat(written)


@given(batches())
@example(("timestamptz", [[datetime.max.replace(tzinfo=UTC)], [datetime(1583, 1, 1, tzinfo=UTC)]]))
@example(("numeric(38,0)", [[Decimal(10**38 - 1), Decimal("-0")], [Decimal(-(10**38) + 1)]]))
@example(("text", [["01HZZZZZZZZZZZZZZZZZZZZZZZ"], ["01J00000000000000000000000"]]))
def test_no_key_of_the_batches_lies_outside_of_the_condition(given_keys: tuple[str, list[list[Any]]]) -> None:
    """So a MERGE with the condition finds each row that one without it finds: the literals are exactly the smallest and
    the largest key, in Snowflake's order (texts by their bytes), to the microsecond and the last digit."""
    kind, lists = given_keys
    found = condition(kind, lists)
    keys: list[Any] = [key.encode() if isinstance(key, str) else key for keys in lists for key in keys]
    if found:
        assert values_of(found) == [min(keys), max(keys)]
    elif kind != "text":
        assert min(keys) < type(keys[0])(1583, 1, 1, **({"tzinfo": UTC} if kind == "timestamptz" else {}))


def test_random_ids_and_plain_texts_get_no_bounds_and_ordered_ids_do() -> None:
    """A batch of random uuids spans nearly all of them: bounds would only make the statement longer. One of UUID
    version 7, or of ULIDs, spans the time in which it was made."""
    week = 7 * 86_400_000
    sevens = [str(uuid.UUID(int=(1_700_000_000_000 + ms) << 80 | 7 << 76 | 5)) for ms in (0, week)]
    assert condition("text", [sevens]) == f"t.\"ID\" BETWEEN '{sevens[0]}' AND '{sevens[1]}'"
    assert condition("uuid", [sevens]) == condition("text", [sevens])
    assert condition("text", [["01HF7YAT00AAAAAAAAAAAAAAAA", "01HFSZ3V00AAAAAAAAAAAAAAAA"]])
    assert (
        condition("uuid", [["0b5e7c1c-0f6c-4f7c-8f0a-3f7f3c2b1a00", "f05e7c1c-0f6c-4f7c-8f0a-3f7f3c2b1a00"]])
        == ""
    )
    assert condition("text", [["alpha", "beta"]]) == ""
    assert condition("text", [["é"]]) == ""


@pytest.mark.parametrize("kind", ["float8", "float4", "bool", "jsonb", "bytea", "numeric(12,2)", "time"])
def test_keys_of_other_types_have_no_bounds(kind: str) -> None:
    """NaN is in no order that both sides share; the others are no keys by which anything is ordered."""
    assert not mapping_named(kind).has_bounds


def test_bounds_that_are_not_known_of_each_row_are_not_used() -> None:
    """A NULL, a batch that an older version staged, or another column: the MERGE goes without."""
    assert bounds_of("ID", pa.array([1, None])) is None
    some = KeyBounds("ID", 1, 2)
    assert bounds_of_all([some, None, some]) is None
    assert bounds_of_all([some, KeyBounds("OTHER", 1, 2)]) is None
    assert bounds_of_all([some, KeyBounds("ID", "a", "b")]) is None
    assert conditions(KeyBounds("OTHER", 1, 2), "int8") == ""
    assert conditions(KeyBounds("ID", -700_000, 2), "date") == ""
    assert conditions(KeyBounds("ID", 0, 2**60), "timestamp") == ""
