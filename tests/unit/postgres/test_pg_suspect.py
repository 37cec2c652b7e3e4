"""Looking at a column's bytes at once finds every JSON that a VARIANT does not hold, wherever in them it lies."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import array, mapping_named
from pgsnow.model.types.variant import misfit
from pgsnow.postgres.convert.json_scan import rows_to_inspect

JSONB = Field("j", "J", mapping_named("jsonb"))
JSON = Field("j", "J", mapping_named("json"))
plain = st.one_of(
    st.integers(0, 10**60).map(str),
    st.text("0123456789.e", max_size=80).map(json.dumps),
    st.integers(36, 42).flatmap(lambda n: st.just(f'{{"n": 1.{"7" * (n - 1)}}}')),
)
odd = st.one_of(plain, st.sampled_from(["1e999", "[-1.5E-400]", '{"a":1E309}', "[1, 2e-999]", '"\\ud800"']))


@given(st.lists(st.none() | plain, max_size=12), st.integers(0, 12), st.integers(0, 12))
@example([None, "1" * 38, "1" * 39, "2" * 39], 1, 3)
def test_no_long_number_in_jsonb_is_overlooked(texts: list[str | None], start: int, length: int) -> None:
    check(JSONB, pa.array(texts, pa.string()).slice(start, length))


@given(st.lists(st.none() | odd, max_size=12))
def test_nothing_in_json_is_overlooked(texts: list[str | None]) -> None:
    check(JSON, pa.array(texts, pa.string()))
    check(Field("a", "A", array("_float8")), pa.array(texts, pa.string()))


@given(st.lists(st.none() | st.lists(st.text() | st.booleans() | st.integers(), max_size=4), max_size=12))
@example([["1e999", "\\ud800", "9" * 50], [10**38, -(10**60)]])
def test_nothing_in_arrays_of_texts_and_numbers_is_overlooked(arrays: list[list[object] | None]) -> None:
    texts = [None if values is None else json.dumps(values, ensure_ascii=False) for values in arrays]
    check(Field("a", "A", array("_text", plain=True)), pa.array(texts, pa.string()))


def check(field: Field, column: pa.Array) -> None:
    bad = {at for at, text in enumerate(column.to_pylist()) if text is not None and misfit(text) is not None}
    assert bad <= set(rows_to_inspect(field, column))


def test_a_uuid_is_no_suspect() -> None:
    """Each suspect is parsed in Python; identifiers and hashes must not be."""
    texts = [json.dumps({"id": "81e72f3a-0e12-4e5e-9e99-12e3a0e45e67", "of": ["3e8", "c4e"]})]
    assert rows_to_inspect(JSON, pa.array(texts)) == rows_to_inspect(JSONB, pa.array(texts)) == []
