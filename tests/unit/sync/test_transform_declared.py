"""set_null, hash, mask, cast and rename."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.errors import ColumnMissing, ConfigError, TransformFailed
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.transform.transform import Transformed, build_transform

ID = Field("id", "ID", mapping_named("bigint"), nullable=False, key=True)


def column(type_name: str, *, key: bool = False) -> Field:
    return Field("v", "V", mapping_named(type_name), key=key)


def apply(field: Field, values: list[Any], **config: Any) -> Transformed:
    batch = pa.RecordBatch.from_arrays([pa.array(values, field.type.arrow)], [field.source])
    return build_transform(TransformConfig.model_validate(config), (field,)).apply(batch)


def made(field: Field, values: list[Any], **config: Any) -> list[Any]:
    found = apply(field, values, **config)
    assert (found.rejected, found.dropped) == ((), 0)
    (after,) = build_transform(TransformConfig.model_validate(config), (field,)).output
    assert found.rows.schema == pa.schema([(after.source, after.type.arrow)])
    return list(found.rows.column(0).to_pylist())


def digest(salt: str, value: bytes) -> str:
    return hmac.new(salt.encode(), value, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("type_name", "value", "text"),
    [
        ("text", "añb", "añb".encode()),
        ("text", "", b""),
        ("bigint", 5, b"5"),
        ("numeric(5,2)", Decimal("12.50"), b"12.50"),
        ("boolean", True, b"true"),
        ("bytea", b"\xff\x00", b"\xff\x00"),
        ("date", date(2024, 1, 31), b"2024-01-31"),
        ("timestamptz", datetime(2024, 1, 31, 10, tzinfo=UTC), b"2024-01-31 10:00:00.000000Z"),
        ("uuid", "c0ffee00-0000-4000-8000-000000000000", b"c0ffee00-0000-4000-8000-000000000000"),
    ],
)
def test_hash_is_hmac_sha256_of_the_value_s_text_and_null_stays_null(
    type_name: str, value: Any, text: bytes
) -> None:
    found = made(column(type_name), [value, None, value], hash="v", salt="pepper")
    assert found == [digest("pepper", text), None, digest("pepper", text)]


def test_another_salt_makes_other_hashes() -> None:
    assert made(column("text"), ["a"], hash="v", salt="one") != made(
        column("text"), ["a"], hash="v", salt="two"
    )


def test_a_key_may_be_hashed_and_stays_a_key() -> None:
    config = TransformConfig.model_validate({"hash": "v", "salt": "s"})
    (after,) = build_transform(config, (column("bigint", key=True),)).output
    assert after.key
    assert after.type.snowflake == "VARCHAR"


def test_hash_without_a_salt_is_refused() -> None:
    with pytest.raises(ConfigError, match="salt"):
        build_transform(TransformConfig(hash=("v",)), (column("text"),))


@pytest.mark.parametrize(
    ("rule", "value", "masked"),
    [
        ("all", "secret", "****"),
        ("all", "", "****"),
        ({"keep_last": 4}, "+49 30 1234567", "****4567"),
        ({"keep_first": 1, "keep_last": 2}, "Jöhann", "J****nn"),
        ({"keep_first": 2}, "añb😀", "añ****"),
        ({"keep_last": 4}, "1234", "****"),
        ({"keep_first": 2, "keep_last": 2}, "abcd", "****"),
    ],
)
def test_mask_hides_all_but_what_may_be_read(rule: Any, value: str, masked: str) -> None:
    assert made(column("text"), [value, None], mask={"v": rule}) == [masked, None]


def test_mask_works_on_the_text_of_other_types() -> None:
    assert made(column("bigint"), [123456], mask={"v": {"keep_last": 2}}) == ["****56"]


def test_set_null_empties_the_column_and_allows_it() -> None:
    assert made(column("bigint"), [1, 2], set_null="v") == [None, None]
    field = Field("v", "V", mapping_named("bigint"), nullable=False)
    (after,) = build_transform(TransformConfig(set_null=("v",)), (field,)).output
    assert after.nullable


@pytest.mark.parametrize("config", [{"set_null": "v"}, {"mask": "v"}])
def test_a_key_is_neither_emptied_nor_masked(config: dict[str, Any]) -> None:
    with pytest.raises(TransformFailed, match="belongs to pk"):
        build_transform(TransformConfig.model_validate(config), (column("text", key=True),))


@pytest.mark.parametrize("verb", ["set_null", "hash", "mask", "cast", "rename"])
def test_a_column_that_is_not_there_is_named(verb: str) -> None:
    value = {"nope": "text"} if verb in ("cast", "rename") else ["nope"]
    with pytest.raises(ColumnMissing, match=rf"transform\.{verb}: no column nope; there are v"):
        build_transform(TransformConfig.model_validate({verb: value, "salt": "s"}), (column("text"),))


FITS = [
    ("text", "numeric(38,9)", "12.5", Decimal("12.5")),
    ("text", "bigint", "-7", -7),
    ("text", "double precision", "1e-3", 0.001),
    ("text", "double precision", "Infinity", float("inf")),
    ("text", "boolean", "true", True),
    ("text", "date", "2024-01-31", date(2024, 1, 31)),
    ("text", "time", "10:20:30.000001", time(10, 20, 30, 1)),
    ("text", "timestamp", "2024-01-31 10:00:00.000001", datetime(2024, 1, 31, 10, 0, 0, 1)),
    ("text", "timestamptz", "2024-01-31 10:00:00+02", datetime(2024, 1, 31, 8, tzinfo=UTC)),
    ("text", "jsonb", '{"a": 1}', '{"a": 1}'),
    ("text", "bytea", "é", "é".encode()),
    ("numeric", "numeric(38,9)", "0.000000001", Decimal("0.000000001")),
    ("jsonb", "text", "[1]", "[1]"),
    ("bigint", "numeric(5,2)", 999, Decimal("999.00")),
    ("bigint", "smallint", 5, 5),
    ("bigint", "double precision", 2**53, 2.0**53),
    ("bigint", "text", -5, "-5"),
    ("bigint", "jsonb", 5, "5"),
    ("numeric(38,9)", "numeric(5,2)", Decimal("1.500000000"), Decimal("1.50")),
    ("numeric(5,2)", "bigint", Decimal("7.00"), 7),
    ("numeric(5,2)", "double precision", Decimal("12.10"), 12.1),
    ("double precision", "numeric(5,2)", 12.1, Decimal("12.10")),
    ("double precision", "bigint", 12.0, 12),
    ("boolean", "integer", True, 1),
    ("boolean", "text", False, "false"),
    ("date", "timestamptz", date(2024, 1, 31), datetime(2024, 1, 31, tzinfo=UTC)),
    ("timestamptz", "date", datetime(2024, 1, 31, 23, tzinfo=UTC), date(2024, 1, 31)),
    ("timestamptz", "timestamp", datetime(2024, 1, 31, 23, tzinfo=UTC), datetime(2024, 1, 31, 23)),
    ("timestamp", "time", datetime(2024, 1, 31, 23, 5), time(23, 5)),
    ("bytea", "text", b"ab", "ab"),
]


@pytest.mark.parametrize(("old", "new", "value", "expected"), FITS)
def test_a_cast_keeps_the_value(old: str, new: str, value: Any, expected: Any) -> None:
    assert made(column(old), [value, None, value], cast={"v": new}) == [expected, None, expected]


MISFITS = [
    ("text", "numeric(38,9)", "0.0000000001"),
    ("text", "numeric(5,2)", "1000"),
    ("text", "numeric(5,2)", "NaN"),
    ("text", "bigint", "1.5"),
    ("text", "bigint", ""),
    ("text", "smallint", "40000"),
    ("text", "double precision", "1e999"),
    ("text", "boolean", "maybe"),
    ("text", "date", "2024-02-30"),
    ("text", "time", "25:00"),
    ("text", "timestamp", "2024-01-31 10:00:00.0000001"),
    ("text", "timestamptz", "2024-01-31 10:00:00"),
    ("text", "jsonb", "{"),
    ("text", "jsonb", "NaN"),
    ("bigint", "smallint", 40_000),
    ("bigint", "numeric(5,2)", 1000),
    ("bigint", "double precision", 2**53 + 1),
    ("numeric(5,2)", "bigint", Decimal("7.01")),
    ("numeric(38,9)", "numeric(5,2)", Decimal("0.001")),
    ("double precision", "bigint", 1.5),
    ("double precision", "bigint", float("nan")),
    ("double precision", "numeric(5,2)", 0.001),
    ("double precision", "real", 1e300),
    ("double precision", "jsonb", float("inf")),
    ("bytea", "text", b"\xff"),
]


@pytest.mark.parametrize(("old", "new", "value"), MISFITS)
def test_a_value_that_a_cast_would_bend_rejects_its_row(old: str, new: str, value: Any) -> None:
    found = apply(column(old), [None, value, None, value, None], cast={"v": new})
    assert [(at, name) for at, _, name in found.rejected] == [(1, "v"), (3, "v")]
    assert found.rows.num_rows == 3
    assert all("does not fit" in reason for _, reason, _ in found.rejected)


@pytest.mark.parametrize(
    ("old", "new"),
    [("bigint", "date"), ("date", "bigint"), ("jsonb", "bigint"), ("time", "timestamp"), ("bytea", "bigint")],
)
def test_types_that_do_not_turn_into_each_other_are_refused_when_planned(old: str, new: str) -> None:
    with pytest.raises(TransformFailed, match=rf"v cannot go from {old.replace('bigint', 'int8')}"):
        build_transform(TransformConfig(cast={"v": new}), (column(old),))


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TransformFailed, match="'varchar2' is not a known type; use one of"):
        build_transform(TransformConfig(cast={"v": "varchar2"}), (column("text"),))


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("text", "bigint", False),
        ("timestamp", "date", False),
        ("double precision", "real", False),
        ("numeric", "numeric(38,9)", True),
        ("bigint", "text", True),
        ("bigint", "numeric(38,0)", True),
        ("timestamp", "timestamptz", True),
    ],
)
def test_a_key_is_cast_only_where_different_values_stay_different(old: str, new: str, allowed: bool) -> None:
    config, field = TransformConfig(cast={"v": new}), column(old, key=True)
    if allowed:
        assert build_transform(config, (field,)).output[0].key
        return
    with pytest.raises(TransformFailed, match="belongs to pk"):
        build_transform(config, (field,))


def test_rename_changes_the_target_s_name_alone() -> None:
    config = TransformConfig(rename={"v": "new_name", "id": '"As Is"'})
    transform = build_transform(config, (ID, column("text")))
    assert [(field.source, field.target) for field in transform.output] == [
        ("id", "As Is"),
        ("v", "NEW_NAME"),
    ]
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["x"])], ["id", "v"])
    assert transform.apply(batch).rows is batch


def test_an_emptied_column_takes_its_cast_type() -> None:
    assert made(column("bigint"), [1], set_null="v", cast={"v": "text"}) == [None]


def test_what_must_not_be_kept_and_what_differs_is_told() -> None:
    config = TransformConfig.model_validate({"mask": "v", "cast": {"w": "text"}, "rename": {"id": "key"}})
    transform = build_transform(config, (ID, column("text"), Field("w", "W", mapping_named("int"))))
    assert transform.sensitive == {"v"}
    assert transform.changes == {"v", "w"}
