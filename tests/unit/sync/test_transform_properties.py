"""Promises that hold for every value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_runs
from hypothesis import strategies as st

from pgsnow.model.config.sync_config import MaskRule, TransformConfig
from pgsnow.model.types.mapping import Field, TypeMapping
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.transform.transform import build_transform

UNTIMED = settings_of_runs(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

HERE = "tests.unit.sync.transform_examples"
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"))

RAW: dict[str, st.SearchStrategy[Any]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": INT64,
    "real": st.floats(width=32),
    "double precision": st.floats(),
    "boolean": st.booleans(),
    "text": TEXT,
    "uuid": st.uuids().map(str),
    "jsonb": st.sampled_from(["null", "1.0", '{"b": 1, "a": 1.10}', "[]", "123456789012345678901234567890"]),
    "bytea": st.binary(),
    "numeric(38,9)": st.decimals(-(10**28), 10**28, places=9),
    # As integers, also those that Python's own types cannot hold: 24:00, years after 9999.
    "date": st.integers(-(2**31), 2**31 - 1),
    "time": st.integers(0, 86_400_000_000),
    "timestamp": INT64,
    "timestamptz": INT64,
}


def column_of(kind: TypeMapping, values: list[Any]) -> pa.Array:
    if pa.types.is_date(kind.arrow):
        return pa.array(values, pa.int32()).view(kind.arrow)
    if pa.types.is_temporal(kind.arrow):
        return pa.array(values, pa.int64()).view(kind.arrow)
    return pa.array(values, kind.arrow)


def same(left: pa.RecordBatch, right: pa.RecordBatch) -> bool:
    """To the bit, so that NaN equals itself and 0.0 is not -0.0."""
    return bool(left.schema == right.schema and all(map(_same_column, left.columns, right.columns)))


def _same_column(left: pa.Array, right: pa.Array) -> bool:
    if pa.types.is_floating(left.type):
        bits = pa.int32() if left.type == pa.float32() else pa.int64()
        left, right = (pc.if_else(each.is_null(), None, pa.array(each).view(bits)) for each in (left, right))
    return bool(left.equals(right))


@pytest.mark.parametrize("type_name", RAW)
@UNTIMED
@given(data=st.data())
def test_a_row_function_that_changes_nothing_keeps_every_value(type_name: str, data: st.DataObject) -> None:
    """Rows with values that Python cannot hold are rejected, never bent; all others are exact."""
    kind = mapping_named(type_name)
    values = data.draw(st.lists(st.one_of(st.none(), RAW[type_name]), max_size=8))
    fields = (Field("id", "ID", mapping_named("bigint"), key=True), Field("v", "V", kind))
    rows = pa.RecordBatch.from_arrays(
        [pa.array(range(len(values)), pa.int64()), column_of(kind, values)],
        schema=pa.schema([("id", pa.int64()), ("v", kind.arrow)]),
    )
    for function in ("same", "copied"):
        found = build_transform(TransformConfig(function=f"{HERE}:{function}"), fields).apply(rows)
        rejected = {at for at, _, _ in found.rejected}
        kept = [at for at in range(len(values)) if at not in rejected]
        assert same(found.rows, rows.take(pa.array(kept, pa.int64())))
        assert all("Python has no such value" in reason for _, reason, _ in found.rejected)
        assert not rejected or pa.types.is_temporal(kind.arrow)


@UNTIMED
@given(st.lists(st.integers(0, 20)), st.sampled_from(["picky", "batch_picky"]))
def test_every_row_is_loaded_rejected_or_dropped_and_order_stays(ids: list[int], function: str) -> None:
    fields = (Field("id", "ID", mapping_named("bigint"), key=True),)
    rows = pa.RecordBatch.from_arrays([pa.array(ids, pa.int64())], ["id"])
    found = build_transform(TransformConfig(function=f"{HERE}:{function}"), fields).apply(rows)
    assert found.rows.column("id").to_pylist() == [value for value in ids if value not in (7, 13)]
    assert [at for at, _, _ in found.rejected] == [at for at, value in enumerate(ids) if value == 13]
    assert found.dropped == ids.count(7)


def transformed(values: list[str | None], config: dict[str, Any]) -> list[str | None]:
    rows = pa.RecordBatch.from_arrays([pa.array(values, pa.string())], ["v"])
    transform = build_transform(
        TransformConfig.model_validate(config), (Field("v", "V", mapping_named("text")),)
    )
    return list(transform.apply(rows).rows.column(0).to_pylist())


@UNTIMED
@given(st.lists(st.one_of(st.none(), TEXT)), st.integers(0, 5), st.integers(0, 5))
def test_a_mask_shows_only_what_may_be_read(values: list[str | None], first: int, last: int) -> None:
    rule = MaskRule(keep_first=first, keep_last=last)
    for value, masked in zip(values, transformed(values, {"mask": {"v": rule}}), strict=True):
        if value is None:
            assert masked is None
        elif len(value) <= first + last:
            assert masked == "****"
        else:
            assert masked == value[:first] + "****" + value[len(value) - last :]


@UNTIMED
@given(st.lists(st.one_of(st.none(), TEXT)), st.text(min_size=1))
def test_a_hash_shows_nothing_and_tells_values_apart(values: list[str | None], salt: str) -> None:
    hashed = transformed(values, {"hash": "v", "salt": salt})
    for value, found in zip(values, hashed, strict=True):
        assert (value is None) == (found is None)
        assert found is None or (len(found) == 64 and set(found) <= set("0123456789abcdef"))
    for one, first in zip(values, hashed, strict=True):
        for other, second in zip(values, hashed, strict=True):
            assert (one == other) == (first == second)


@UNTIMED
@given(st.lists(st.one_of(st.none(), st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True))))
def test_a_cast_to_numeric_is_exact_or_refused(values: list[str | None]) -> None:
    rows = pa.RecordBatch.from_arrays([pa.array(values, pa.string())], ["v"])
    transform = build_transform(
        TransformConfig(cast={"v": "numeric(20,4)"}), (Field("v", "V", mapping_named("text")),)
    )
    found = transform.apply(rows)
    rejected = {at for at, _, _ in found.rejected}
    exact = [None if v is None else Decimal(v) for at, v in enumerate(values) if at not in rejected]
    assert found.rows.column(0).to_pylist() == exact
    for at in rejected:
        value = Decimal(values[at] or "")
        assert value != round(value, 4)
