"""Part files hold exactly the rows written, in their order, in files of a bounded size."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.model.batch import PartFile
from pgsnow.model.plan import ORDER_COLUMN
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.pipeline import parquet
from pgsnow.sync.pipeline.parquet import PartWriter, parquet_schema
from tests.examples import examples

FIELDS = (
    Field("id", "ID", mapping_named("int8"), nullable=False, key=True),
    Field("name", "NAME", mapping_named("text")),
)


def rows(start: int, count: int) -> pa.RecordBatch:
    ids = pa.array(range(start, start + count), pa.int64())
    return pa.record_batch([ids, ids.cast(pa.string())], names=["id", "name"])


@given(counts=st.lists(st.integers(0, 50), max_size=20))
@settings(max_examples=examples(10), deadline=None)
def test_every_row_is_in_the_parts_once_and_in_order(tmp_path_factory: object, counts: list[int]) -> None:
    folder: Path = tmp_path_factory.mktemp("parts")  # type: ignore[attr-defined]
    writer = PartWriter(folder, FIELDS, part_bytes=1)
    for index, count in enumerate(counts):
        writer.write(rows(sum(counts[:index]), count))
    parts = writer.finish()
    table = pa.concat_tables([pq.read_table(p.path) for p in parts]) if parts else None
    total = sum(counts)
    assert writer.rows == sum(p.rows for p in parts) == total
    assert (table.column("ID").to_pylist() if table else []) == list(range(total))
    assert (table.column(ORDER_COLUMN).to_pylist() if table else []) == list(range(total))


def test_a_batch_without_rows_has_no_part_file(tmp_path: Path) -> None:
    assert PartWriter(tmp_path, FIELDS).finish() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_closed_once_it_is_large_enough(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path, FIELDS, part_bytes=100_000)
    for start in range(0, 500_000, 50_000):
        writer.write(rows(start, 50_000))
    parts = writer.finish()
    assert len(parts) > 1
    assert all(part.size == part.path.stat().st_size > 0 for part in parts)


def test_parts_begin_small_and_grow_with_what_is_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first can be sent early, and few are needed for much."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 1000)
    monkeypatch.setattr(parquet, "FIRST_PART_BYTES", 20_000)
    writer = PartWriter(tmp_path, FIELDS, part_bytes=200_000)
    taken: list[PartFile] = []
    for start in range(0, 600_000, 1000):
        writer.write(rows(start, 1000))
        taken += writer.take_finished()
    parts = writer.finish()
    sizes = [part.size for part in parts]
    for number, size in enumerate(sizes[:-1]):
        least = min(200_000, max(20_000, sum(sizes[:number]) // 2))
        assert least <= size < least + 20_000, (number, sizes)
    assert 20_000 <= sizes[0] < 40_000 < 200_000 <= sizes[-2]
    assert tuple(taken) == parts[:-1], "each is taken once, but for the last"


def test_columns_bear_their_snowflake_names(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path, FIELDS)
    writer.write(rows(0, 1))
    (part,) = writer.finish()
    assert pq.read_schema(part.path).names == ["ID", "NAME", ORDER_COLUMN] == parquet_schema(FIELDS).names
    assert pq.ParquetFile(part.path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_an_abandoned_batch_leaves_no_open_file(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path, FIELDS, part_bytes=1)
    writer.write(rows(0, 200_000))
    writer.write(rows(200_000, 10))
    writer.abandon()
    assert all(entry.is_file() for entry in tmp_path.iterdir())
