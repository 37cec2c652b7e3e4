"""Part files: Arrow batches in, zstd Parquet of a bounded size out, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pgsnow.model.batch import PartFile
from pgsnow.model.metadata_columns import HASH_COLUMN, ORDER_COLUMN
from pgsnow.model.types.mapping import Field
from pgsnow.sync.pipeline.row_hash import row_hashes

ROW_GROUP_ROWS = 100_000
ROW_GROUP_BYTES = 16 << 20
"""Of Arrow memory: what is held before a row group is written."""
PART_BYTES = 128 << 20
"""Of file: a part is closed at the first row group boundary past this. Snowflake loads files of 100 to 250 MB best; the
connector holds a part in memory while it uploads it, so this bounds memory too: see docs/loading.md."""

FIRST_PART_BYTES = 8 << 20
"""Of a unit's first part; each further one has at least this, and half of what those before it have. There is something
to upload early then, while the rest is read, little is left at the end, and yet there are few files. Measured:
docs/decisions/24-files-go-up-while-rows-are-read.md"""


def parquet_schema(output: tuple[Field, ...], *, hashed: bool = False) -> pa.Schema:
    """One column a loaded field, under its Snowflake name, if asked for HASH_COLUMN, and ORDER_COLUMN (int64) last."""
    columns = [pa.field(field.target, field.type.arrow) for field in output]
    if hashed:
        columns.append(pa.field(HASH_COLUMN, pa.string()))
    return pa.schema([*columns, pa.field(ORDER_COLUMN, pa.int64())])


class PartWriter:
    """Writes the part files of one load unit into `folder`. Not for use by two threads.

    Rows keep the order in which they are written: ORDER_COLUMN counts them from `first_row` over all parts. hashed:
    HASH_COLUMN holds a digest of each. part_bytes: PART_BYTES if it is not given.
    """

    def __init__(
        self,
        folder: Path,
        output: tuple[Field, ...],
        *,
        part_bytes: int | None = None,
        first_row: int = 0,
        hashed: bool = False,
    ) -> None:
        self._folder = folder
        self._first_row = first_row
        self._hashed = [field.target for field in output] if hashed else None
        self._schema = parquet_schema(output, hashed=hashed)
        self._dictionary = [field.target for field in output if field.type.low_cardinality]
        self._part_bytes = part_bytes or PART_BYTES
        self._parts: list[PartFile] = []
        self._told = 0
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._path: Path | None = None
        self._part_rows = 0
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows whose columns are the fields' in order."""
        if rows.num_rows == 0:
            return
        first = self._first_row + self.rows
        order = pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64))
        hashes = [] if self._hashed is None else [row_hashes(rows, self._hashed)]
        batch = pa.RecordBatch.from_arrays([*rows.columns, *hashes, order], schema=self._schema)
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held_rows >= ROW_GROUP_ROWS or self._held_bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def finish(self) -> tuple[PartFile, ...]:
        """Close the last part and return all of them; empty when no row was written."""
        self._write_row_group()
        self._close_part()
        return tuple(self._parts)

    def followed(self) -> tuple[PartFile, ...]:
        """Finished parts after which rows have come, each told once."""
        more = bool(self._held) or self._writer is not None
        until = len(self._parts) if more else max(self._told, len(self._parts) - 1)
        new = tuple(self._parts[self._told : until])
        self._told = until
        return new

    def abandon(self) -> None:
        """Close what is open; the folder's owner removes the files."""
        self._held.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write_row_group(self) -> None:
        if not self._held:
            return
        writer = self._writer or self._open_part()
        writer.write_table(pa.Table.from_batches(self._held, self._schema), row_group_size=self._held_rows)
        self._part_rows += self._held_rows
        self._held.clear()
        self._held_rows = self._held_bytes = 0
        enough = min(self._part_bytes, max(FIRST_PART_BYTES, sum(part.size for part in self._parts) // 2))
        if self._path is not None and self._path.stat().st_size >= enough:
            self._close_part()

    def _open_part(self) -> pq.ParquetWriter:
        self._path = self._folder / f"part-{len(self._parts):04d}.parquet"
        self._part_rows = 0
        # The default (a dictionary for every column) costs time and space on high-cardinality ones.
        self._writer = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=self._dictionary or False,
            # COPY reads whole files and looks at no minimum or maximum.
            write_statistics=False,
        )
        return self._writer

    def _close_part(self) -> None:
        if self._writer is None or self._path is None:
            return
        self._writer.close()
        self._parts.append(PartFile(self._path, self._part_rows, self._path.stat().st_size))
        self._writer = self._path = None
