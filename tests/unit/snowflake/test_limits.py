"""A value too long for its column is found before it is staged, and told with its row."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pgsnow.model.types.mapping import Field
from pgsnow.model.types.overflow import Overflow
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.schema.length_limits import limits_of, over_limit, shortened

NAME = Field("name", "NAME", mapping_named("text"))
BLOB = Field("blob", "BLOB", mapping_named("bytea"))


def batch(names: list[str | None], blobs: list[bytes | None]) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(names, pa.string()), pa.array(blobs, pa.binary())], names=["name", "blob"]
    )


def test_columns_of_full_length_are_not_looked_at() -> None:
    columns = {"NAME": "VARCHAR(16777216)", "BLOB": "BINARY(8388608)"}
    assert limits_of(columns, (NAME, BLOB)) == ()
    assert limits_of({"NAME": "VARCHAR(134217728)", "BLOB": "BINARY"}, (NAME, BLOB)) == ()


def test_every_value_that_is_too_long_is_named() -> None:
    limits = limits_of({"NAME": "VARCHAR(2)", "BLOB": "BINARY(3)"}, (NAME, BLOB))
    rows = batch(
        ["ab", "abc", None, "éé", "\U0001f600\U0001f600\U0001f600", "abc"],
        [b"abc", b"", b"abcd", None, b"", b"abcd"],
    )
    found = over_limit(rows, limits)
    assert [at for at, _, column in found if column == "name"] == [1, 4, 5]
    assert [at for at, _, column in found if column == "blob"] == [2, 5]
    assert found[0][1] == "3 characters; the target's column NAME takes 2"
    assert found[-1][1] == "4 bytes; the target's column BLOB takes 3"


def test_without_limits_nothing_is_found() -> None:
    assert over_limit(batch(["x" * 1000], [None]), ()) == []


def test_what_on_overflow_changes_is_cut_or_emptied_and_counted_and_no_row_is_rejected() -> None:
    output = (replace(NAME, overflow=Overflow.CLAMP), replace(BLOB, overflow=Overflow.NULL))
    limits = limits_of({"NAME": "VARCHAR(2)", "BLOB": "BINARY(3)"}, output)
    rows = batch(["ab", "ééé", None], [b"abcd", b"abc", b"abcde"])
    assert over_limit(rows, limits) == []
    settled, counts = shortened(rows, limits)
    assert settled.to_pydict() == {"name": ["ab", "éé", None], "blob": [None, b"abc", None]}
    assert counts == {"name": 1, "blob": 2}
    for column, limit in zip(("name", "blob"), limits, strict=True):
        assert [limit.fit(value) for value in rows.column(column).to_pylist()] == settled.to_pydict()[column]
