"""Writes Arrow batches as part files: zstd Parquet files of a bounded size, in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pgsnow.model.batch import KeyBounds, PartFile
from pgsnow.model.log.changes import (
    COMMIT_COLUMN,
    MOVED_PREFIX,
    OPERATION_COLUMN,
    UNCHANGED_COLUMN,
    ChangeKinds,
)
from pgsnow.model.metadata_columns import HASH_COLUMN, ORDER_COLUMN
from pgsnow.model.types.mapping import Field

ROW_GROUP_ROWS = 100_000
ROW_GROUP_BYTES = 16 << 20
"""Arrow memory that is buffered before a row group is written."""
PART_BYTES = 128 << 20
"""File size at which a part is closed, at the next row group boundary. Snowflake loads files of 100 to 250 MB best; the
connector holds a part in memory while it uploads it, so this bounds memory too: see docs/loading.md."""

FIRST_PART_BYTES = 8 << 20
"""File size of a batch's first part; each further part has at least this size, and half the size of all before it. So
uploads can begin early, little is left to upload at the end, and there are few files.
Measured: docs/decisions/24-files-go-up-while-rows-are-read.md"""

HASH_BYTES = 16
LONGEST_BOUND = 64
"""Characters of a text that is kept as a bound: those of any id that is given out in order."""


def parquet_schema(
    output: tuple[Field, ...], *, hashed: bool = False, more: Sequence[pa.Field] = ()
) -> pa.Schema:
    """One column per field, under its Snowflake name; then HASH_COLUMN if requested, further columns, and ORDER_COLUMN
    (int64)."""
    columns = [pa.field(field.target, field.type.arrow) for field in output]
    if hashed:
        columns.append(pa.field(HASH_COLUMN, pa.string()))
    return pa.schema([*columns, *more, pa.field(ORDER_COLUMN, pa.int64())])


def change_columns(key: Sequence[Field]) -> list[pa.Field]:
    """The columns that a file of changes has in addition, in order: see model/log/changes.py."""
    return [
        pa.field(OPERATION_COLUMN, pa.string()),
        pa.field(UNCHANGED_COLUMN, pa.string()),
        *(pa.field(MOVED_PREFIX + field.target, field.type.arrow) for field in key),
        pa.field(COMMIT_COLUMN, pa.int64()),
    ]


class PartWriter:
    """Writes the part files of one load batch into `folder`. Not for use by two threads.

    Rows keep the order in which they are written: ORDER_COLUMN counts them from `first_row` over all parts. hashed:
    HASH_COLUMN holds the row hash of each. part_bytes: PART_BYTES if it is not given. bounded: name of the column in
    the target of which `bounds` is kept. changes_of: the rows are changes from the log, in a table with this key, and
    the files have the columns of sync/pipeline/change_files.py, whose values `write` is given as `more`.
    """

    def __init__(
        self,
        folder: Path,
        output: tuple[Field, ...],
        *,
        part_bytes: int | None = None,
        first_row: int = 0,
        hashed: bool = False,
        bounded: str | None = None,
        changes_of: Sequence[Field] | None = None,
    ) -> None:
        self.folder = folder
        self._first_row = first_row
        self._hashed = [field.target for field in output] if hashed else None
        self._dictionary = [field.target for field in output if field.type.low_cardinality]
        self.kinds: ChangeKinds | None = None
        """The kinds of changes that the rows are; None: they are rows of the source as they are."""
        more = list[pa.Field]()
        if changes_of is not None:
            more, self.kinds = change_columns(changes_of), ChangeKinds()
            self._dictionary += [OPERATION_COLUMN, UNCHANGED_COLUMN]
        self._schema = parquet_schema(output, hashed=hashed, more=more)
        self._part_bytes = part_bytes or PART_BYTES
        self._parts: list[PartFile] = []
        self._taken = 0
        self._buffered: list[pa.RecordBatch] = []
        self._buffered_rows = 0
        self._buffered_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._path: Path | None = None
        self._part_rows = 0
        self._bounded = bounded
        self.bounds: KeyBounds | None = None
        """The bounds of the rows so far; None: there are none, or one has no value that could be a bound."""
        self.rows = 0

    def write(self, rows: pa.RecordBatch, more: Sequence[pa.Array] = ()) -> None:
        """Add rows; their columns are the fields' in order. more: the values of the further columns."""
        if rows.num_rows == 0:
            return
        first = self._first_row + self.rows
        order = pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64))
        hashes = [] if self._hashed is None else [row_hashes(rows, self._hashed)]
        batch = pa.RecordBatch.from_arrays([*rows.columns, *hashes, *more, order], schema=self._schema)
        if self._bounded is not None:
            found = bounds_of(self._bounded, batch.column(self._bounded))
            self.bounds = found if self.rows == 0 else found and found | self.bounds
            self._bounded = None if self.bounds is None else self._bounded
        self._buffered.append(batch)
        self._buffered_rows += batch.num_rows
        self._buffered_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._buffered_rows >= ROW_GROUP_ROWS or self._buffered_bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def finish(self) -> tuple[PartFile, ...]:
        """Close the last part and return all parts; none if no row was written."""
        self._write_row_group()
        self._close_part()
        return tuple(self._parts)

    def take_finished(self) -> tuple[PartFile, ...]:
        """Finished parts that are not the last one of the batch so far; each is returned once."""
        more = bool(self._buffered) or self._writer is not None
        until = len(self._parts) if more else max(self._taken, len(self._parts) - 1)
        new = tuple(self._parts[self._taken : until])
        self._taken = until
        return new

    def abandon(self) -> None:
        """Close what is open; the folder's owner removes the files. Idempotent."""
        self._buffered.clear()
        if self._writer is not None:
            with contextlib.suppress(OSError):  # the disk is full
                self._writer.close()
            self._writer = None

    def _write_row_group(self) -> None:
        if not self._buffered:
            return
        writer = self._writer or self._open_part()
        table = pa.Table.from_batches(self._buffered, self._schema)
        writer.write_table(table, row_group_size=self._buffered_rows)
        self._part_rows += self._buffered_rows
        self._buffered.clear()
        self._buffered_rows = self._buffered_bytes = 0
        enough = min(self._part_bytes, max(FIRST_PART_BYTES, sum(part.size for part in self._parts) // 2))
        if self._path is not None and self._path.stat().st_size >= enough:
            self._close_part()

    def _open_part(self) -> pq.ParquetWriter:
        self._path = self.folder / f"part-{len(self._parts):04d}.parquet"
        self._part_rows = 0
        # Whatever is at the path already is not ours, and is not written to.
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        # The default (a dictionary for every column) costs time and space on high-cardinality ones.
        self._writer = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=self._dictionary or False,
            # COPY reads whole files and uses no minimum or maximum.
            write_statistics=False,
        )
        return self._writer

    def _close_part(self) -> None:
        if self._writer is None or self._path is None:
            return
        self._writer.close()
        self._parts.append(PartFile(self._path, self._part_rows, self._path.stat().st_size))
        self._writer = self._path = None


def bounds_of(name: str, values: pa.Array) -> KeyBounds | None:
    """The bounds of this column; None if a value is NULL, or a bound is neither a whole number nor a short ASCII text.
    Texts are compared by their bytes, as Snowflake compares them without a collation."""
    if values.null_count:
        return None
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        values = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())
    found = pc.min_max(values).as_py()
    low, high = found["min"], found["max"]
    if isinstance(low, str):
        short = all(text.isascii() and len(text) <= LONGEST_BOUND for text in (low, high))
        return KeyBounds(name, low, high) if short else None
    return KeyBounds(name, int(low), int(high))


def row_hashes(rows: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """The hash of each row (string, 32 hex digits), for tables whose rows have no key: of each value that is not NULL,
    with its column's name and its length. NULLs are left out, so that a new column without values leaves the hash as
    it was. ValueError for no columns.
    """
    if not names:
        raise ValueError("a row without columns has no hash")
    cells = [_hashed_cells(column, name) for column, name in zip(rows.columns, names, strict=True)]
    # not null_handling="skip", which leaves out rows in which every value is NULL
    joined = pc.binary_join_element_wise(
        *cells, pa.scalar(b""), null_handling="replace", null_replacement=b""
    )
    digests = [hashlib.blake2b(row.as_py(), digest_size=HASH_BYTES).hexdigest() for row in joined]
    return pa.array(digests, pa.string())


def _hashed_cells(column: pa.Array, name: str) -> pa.Array:
    """`<name>=<length>:<value>;` as bytes, NULL for NULL."""
    value = _exact_bytes(column)
    length = pc.binary_length(value).cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(
        pa.scalar(f"{name}=".encode()), length, pa.scalar(b":"), value, pa.scalar(b";"), pa.scalar(b"")
    )


def _exact_bytes(column: pa.Array) -> pa.Array:
    """Bytes that differ for different values of the column's type."""
    if pa.types.is_binary(column.type):
        return column
    if pa.types.is_date(column.type) or pa.types.is_time(column.type) or pa.types.is_timestamp(column.type):
        whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
        column = column.view(whole)
    return column.cast(pa.string()).cast(pa.binary())
