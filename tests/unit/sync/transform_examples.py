"""Functions that the transform tests name in their configuration."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.errors import TransformFailed
from pgsnow.sync.transform.transform import batch_function

NOT_A_FUNCTION = 5


def same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def copied(row: dict[str, Any]) -> dict[str, Any]:
    """The same values, JSON by way of Python."""
    return {**row}


def upper(row: dict[str, Any]) -> dict[str, Any]:
    """In place, as many write it."""
    row["text"] = row["text"].upper()
    return row


def drop_odd(row: dict[str, Any]) -> dict[str, Any] | None:
    return None if row["id"] % 2 else row


def picky(row: dict[str, Any]) -> dict[str, Any] | None:
    """Raises on 13, drops 7."""
    if row["id"] == 13:
        raise ValueError("unlucky")
    return None if row["id"] == 7 else row


def forgets(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"]}


def invents(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "extra": 1}


def returns_text(row: dict[str, Any]) -> str:
    return "row"


def stops(row: dict[str, Any]) -> dict[str, Any]:
    raise TransformFailed("not with this table")


def no_key(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": None if row["id"] == 2 else row["id"]}


def from_json(row: dict[str, Any]) -> dict[str, Any]:
    """`text` holds JSON: what the function returns for the column under test."""
    return {**row, "made": json.loads(row["text"])}


class Instance:
    def method(self, row: dict[str, Any]) -> dict[str, Any]:
        return row

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return row


instance = Instance()


async def coroutine(row: dict[str, Any]) -> dict[str, Any]:
    return row


def two_arguments(row: dict[str, Any], other: int) -> dict[str, Any]:
    return row


def batch_same(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows


@batch_function
def marked(rows):  # type: ignore[no-untyped-def]
    return rows


def batch_picky(rows: pa.RecordBatch) -> pa.RecordBatch:
    """As `picky`, by the batch."""
    ids = rows.column("id").to_pylist()
    if 13 in ids:
        raise ValueError("unlucky")
    return rows.filter(pa.array([value != 7 for value in ids], pa.bool_()))


def batch_adds(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Columns in another order, and one more."""
    names = [*reversed(rows.schema.names), "length"]
    columns = [*reversed(rows.columns), pc.cast(pc.utf8_length(rows.column("text")), pa.int64())]
    return pa.RecordBatch.from_arrays(columns, names=names)


def batch_other_type(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.set_column(0, "id", rows.column("id").cast(pa.string()))


def batch_without(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.select(["id"])


def batch_doubles(rows: pa.RecordBatch) -> pa.RecordBatch:
    return pa.Table.from_batches([rows, rows]).combine_chunks().to_batches()[0]


def batch_returns_table(rows: pa.RecordBatch) -> Any:
    return pa.table({"id": rows.column("id")})


def batch_no_key(rows: pa.RecordBatch) -> pa.RecordBatch:
    ids = [None if value == 2 else value for value in rows.column("id").to_pylist()]
    return rows.set_column(0, rows.schema.field(0), pa.array(ids, pa.int64()))


def batch_bad_json(rows: pa.RecordBatch) -> pa.RecordBatch:
    at = rows.schema.get_field_index("doc")
    texts = ["{" if value == 2 else "{}" for value in rows.column("id").to_pylist()]
    return rows.set_column(at, rows.schema.field(at), pa.array(texts, pa.string()))
