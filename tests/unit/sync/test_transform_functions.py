"""What a configured function may do to rows, and what becomes of rows it fails on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.errors import TransformFailed
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.transform.transform import Transform, Transformed, build_transform

HERE = "tests.unit.sync.transform_examples"
ID = Field("id", "ID", mapping_named("bigint"), nullable=False, key=True)
TEXT = Field("text", "TEXT", mapping_named("text"), nullable=False)
DOC = Field("doc", "DOC", mapping_named("jsonb"))


def build(function: str, fields: Iterable[Field] = (ID, TEXT), **more: Any) -> Transform:
    return build_transform(TransformConfig(function=f"{HERE}:{function}", **more), tuple(fields))


def rows(ids: Iterable[int], text: str = "t") -> pa.RecordBatch:
    numbers = list(ids)
    return pa.RecordBatch.from_arrays(
        [pa.array(numbers, pa.int64()), pa.array([text] * len(numbers))], ["id", "text"]
    )


def ids(found: Transformed) -> list[int]:
    return [int(value) for value in found.rows.column("id").to_pylist()]


def test_without_a_transform_rows_pass_as_they_are() -> None:
    given = rows(range(3))
    found = build_transform(None, (ID, TEXT)).apply(given)
    assert found.rows is given
    assert (found.rejected, found.dropped) == ((), 0)


@pytest.mark.parametrize(
    "reference",
    [":same", ".same", ":instance", ".instance", ":instance.method", ":batch_same", ".batch_same", ":marked"],
)
def test_functions_are_found_by_either_form_of_their_name(reference: str) -> None:
    transform = build_transform(TransformConfig(function=HERE + reference), (ID, TEXT))
    assert ids(transform.apply(rows(range(3)))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("no_such_package.rows:clean", "there is no module no_such_package"),
        (f"{HERE}:no_such", f"{HERE} has no no_such"),
        (f"{HERE}:NOT_A_FUNCTION", "it is a int, not a function"),
        (f"{HERE}:coroutine", "it is a coroutine"),
        (f"{HERE}:two_arguments", "it cannot be called with one argument"),
    ],
)
def test_a_function_that_cannot_serve_stops_the_table_when_it_is_planned(reference: str, said: str) -> None:
    with pytest.raises(TransformFailed, match=said) as caught:
        build_transform(TransformConfig(function=reference), (ID, TEXT))
    assert reference in str(caught.value)


def test_a_module_that_fails_to_import_is_told_with_its_error(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "broken_transforms.py").write_text("raise RuntimeError('half written')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TransformFailed, match="importing broken_transforms raised RuntimeError"):
        build_transform(TransformConfig(function="broken_transforms:f"), (ID, TEXT))


def test_a_row_changed_in_place_is_a_changed_row() -> None:
    assert build("upper").apply(rows([1], "abc")).rows.column("text").to_pylist() == ["ABC"]


@pytest.mark.parametrize("function", ["picky", "batch_picky"])
def test_a_row_that_raises_is_rejected_and_the_rest_go_on(function: str) -> None:
    found = build(function).apply(rows(range(1000)))
    assert found.rejected == ((13, "ValueError: unlucky", None),)
    assert found.dropped == 1
    assert ids(found) == [value for value in range(1000) if value not in (7, 13)]


def test_a_batch_function_s_bad_rows_are_all_found() -> None:
    found = build("batch_picky").apply(rows([13, 1, 13, 7, 13]))
    assert [at for at, _, _ in found.rejected] == [0, 2, 4]
    assert (ids(found), found.dropped) == ([1], 1)


def test_none_drops_the_row() -> None:
    found = build("drop_odd").apply(rows(range(6)))
    assert (ids(found), found.dropped, found.rejected) == ([0, 2, 4], 3, ())


def test_all_rows_may_be_dropped() -> None:
    found = build("drop_odd").apply(rows([1, 3]))
    assert (found.rows.num_rows, found.dropped) == (0, 2)


@pytest.mark.parametrize("function", ["same", "batch_same", "batch_adds"])
def test_an_empty_batch_stays_empty(function: str) -> None:
    more: dict[str, Any] = {"adds": {"length": "bigint"}} if function == "batch_adds" else {}
    found = build(function, **more).apply(rows([]))
    assert found.rows.num_rows == 0
    assert found.rows.schema.names == [field.source for field in build(function, **more).output]


@pytest.mark.parametrize("function", ["forgets", "batch_without"])
def test_a_missing_column_stops_the_table_and_tells_of_exclude(function: str) -> None:
    with pytest.raises(TransformFailed, match="without text") as caught:
        build(function).apply(rows([1]))
    assert "exclude" in caught.value.advice


def test_an_unknown_column_stops_the_table_and_tells_of_adds() -> None:
    with pytest.raises(TransformFailed, match="with extra, not declared") as caught:
        build("invents").apply(rows([1]))
    assert "adds" in caught.value.advice


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("returns_text", "it returned a str"),
        ("stops", "not with this table"),
        ("batch_other_type", "column id as string instead of int64"),
        ("batch_doubles", "it returned 4 rows for 2"),
        ("batch_returns_table", "it returned a Table"),
    ],
)
def test_a_broken_contract_stops_the_table(function: str, said: str) -> None:
    with pytest.raises(TransformFailed, match=said):
        build(function).apply(rows([1, 2]))


@pytest.mark.parametrize("function", ["no_key", "batch_no_key"])
def test_a_key_made_null_rejects_the_row(function: str) -> None:
    found = build(function).apply(rows([1, 2, 3]))
    assert found.rejected == ((1, "the transform made a pk column NULL", "id"),)
    assert ids(found) == [1, 3]


def test_an_added_column_is_loaded_under_its_declared_type() -> None:
    transform = build("invents", adds={"extra": "numeric(5,2)"})
    assert transform.output[-1] == Field("extra", "EXTRA", mapping_named("numeric(5,2)"), computed=True)
    found = transform.apply(rows([1])).rows
    assert found.schema.field("extra").type == pa.decimal128(5, 2)
    assert str(found.column("extra")[0]) == "1.00"


def test_a_batch_function_may_order_columns_as_it_likes_and_add_some() -> None:
    found = build("batch_adds", adds={"length": "bigint"}).apply(rows([1, 2], "abc")).rows
    assert found.to_pydict() == {"id": [1, 2], "text": ["abc"] * 2, "length": [3, 3]}


@pytest.mark.parametrize("adds", [{"text": "text"}, {"new": "no type"}])
def test_an_added_column_must_be_new_and_of_a_known_type(adds: dict[str, str]) -> None:
    with pytest.raises(TransformFailed, match=r"transform\.adds"):
        build("same", adds=adds)


def test_a_function_may_leave_any_column_but_the_key_empty() -> None:
    """The target must then allow it."""
    assert [field.nullable for field in build("same").output] == [False, True]


@pytest.mark.parametrize(
    ("type_name", "value", "loaded"),
    [
        ("jsonb", {"a": [1, None]}, '{"a": [1, null]}'),
        ("jsonb", [1, "é"], '[1, "é"]'),
        ("jsonb", '{"as": "text"}', '{"as": "text"}'),
        ("jsonb", True, "true"),
        ("jsonb", None, None),
        ("bigint", 5, 5),
        ("double precision", 5, 5.0),
        ("text", "é", "é"),
        ("boolean", False, False),
    ],
)
def test_returned_values_that_fit_are_loaded(type_name: str, value: object, loaded: object) -> None:
    found = build("from_json", adds={"made": type_name}).apply(rows([1], json.dumps(value)))
    assert found.rejected == ()
    assert found.rows.column("made").to_pylist() == [loaded]


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("bigint", "5"),
        ("bigint", 5.0),
        ("bigint", True),
        ("bigint", 2**63),
        ("smallint", 40_000),
        ("boolean", 1),
        ("text", 5),
        ("text", "\ud800"),
        ("numeric(5,2)", 1.5),
        ("numeric(5,2)", 100_000),
        ("double precision", "1.5"),
        ("double precision", 2**53 + 1),
        ("real", 1e300),
        ("timestamptz", "2024-01-01T00:00:00Z"),
        ("timestamp", 5),
        ("date", 5),
        ("time", "10:00"),
        ("bytea", "text"),
        ("jsonb", "not json"),
        ("jsonb", "NaN"),
        ("jsonb", "[1e400]"),
        ("jsonb", 10**38 + 1),
        ("uuid", 5),
    ],
)
def test_a_value_that_does_not_fit_rejects_its_row_and_names_the_column(
    type_name: str, value: object
) -> None:
    given = pa.concat_batches([rows([1], "null"), rows([2], json.dumps(value)), rows([3], "null")])
    found = build("from_json", adds={"made": type_name}).apply(given)
    ((at, reason, column),) = found.rejected
    assert (at, column) == (1, "made")
    assert reason
    assert ids(found) == [1, 3]


def test_a_batch_function_s_invalid_json_rejects_its_row() -> None:
    """Snowflake would refuse the whole load for it."""
    given = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), pa.array(["1"] * 3)], ["id", "doc"])
    found = build("batch_bad_json", (ID, DOC)).apply(given)
    assert found.rejected == ((1, "the text is not valid JSON", "doc"),)
    assert found.rows.to_pydict() == {"id": [1, 3], "doc": ["{}", "{}"]}


def test_celery_s_time_limit_is_not_taken_for_a_bad_row(monkeypatch: Any) -> None:
    from billiard.exceptions import SoftTimeLimitExceeded

    from tests.unit.sync import transform_examples

    def late(row: dict[str, Any]) -> dict[str, Any]:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(transform_examples, "same", late)
    with pytest.raises(SoftTimeLimitExceeded):
        build("same").apply(rows([1]))


@pytest.mark.parametrize("function", ["same", "batch_same"])
def test_what_comes_after_the_function_may_reject_too(function: str) -> None:
    """Row numbers stay those of the rows that were read."""
    given = pa.RecordBatch.from_arrays(
        [pa.array(range(4), pa.int64()), pa.array(["1", "x", "3", "y"])], ["id", "text"]
    )
    found = build(function, cast={"text": "integer"}).apply(given)
    assert [(at, column) for at, _, column in found.rejected] == [(1, "text"), (3, "text")]
    assert found.rows.to_pydict() == {"id": [0, 2], "text": [1, 3]}


def test_rows_dropped_by_the_function_do_not_shift_the_numbers_of_rejected_ones() -> None:
    given = pa.RecordBatch.from_arrays(
        [pa.array(range(5), pa.int64()), pa.array(["1", "x", "x", "3", "y"])], ["id", "text"]
    )
    found = build("drop_odd", cast={"text": "integer"}).apply(given)
    assert [at for at, _, _ in found.rejected] == [2, 4]
    assert (found.dropped, ids(found)) == (2, [0])


def test_what_a_function_may_have_changed_is_told() -> None:
    assert build("same").changes == {"text"}
    assert build_transform(None, (ID, TEXT)).changes == frozenset()
