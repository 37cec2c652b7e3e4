"""A digest of each row as it is loaded, for tables whose rows have no key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

BYTES = 16


def row_hashes(rows: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """32 hex digits a row (string): of each value that is not NULL, with its column's name and its length.

    NULLs are left out, so that a new column without values leaves the digest as it was.
    """
    if not names:
        raise ValueError("a row without columns has no digest")
    cells = [_cells(column, name) for column, name in zip(rows.columns, names, strict=True)]
    # not null_handling="skip", which leaves out rows that are NULL throughout
    joined = pc.binary_join_element_wise(
        *cells, pa.scalar(b""), null_handling="replace", null_replacement=b""
    )
    return pa.array([_digest(row.as_py()) for row in joined], pa.string())


def _digest(row: bytes) -> str:
    return hashlib.blake2b(row, digest_size=BYTES).hexdigest()


def _cells(column: pa.Array, name: str) -> pa.Array:
    """`<name>=<length>:<value>;` as bytes, NULL for NULL."""
    text = _text(column)
    length = pc.binary_length(text).cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(
        pa.scalar(f"{name}=".encode()), length, pa.scalar(b":"), text, pa.scalar(b";"), pa.scalar(b"")
    )


def _text(column: pa.Array) -> pa.Array:
    """Bytes that are another for another value of the column's type."""
    if pa.types.is_binary(column.type):
        return column
    if pa.types.is_date(column.type) or pa.types.is_time(column.type) or pa.types.is_timestamp(column.type):
        whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
        column = column.view(whole)
    return column.cast(pa.string()).cast(pa.binary())
