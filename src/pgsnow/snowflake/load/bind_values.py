"""Rows of a part file as bound values: text that Snowflake reads back exactly, and bytes for binary columns.

Snowflake converts text in INSERT … VALUES by itself (Snowflake docs, "Data type conversion": VARCHAR to NUMBER, FLOAT,
BOOLEAN, DATE, TIME and TIMESTAMP are coercions); the session's input formats are set at login.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pgsnow.snowflake.session import Bind, Result, Session
from pgsnow.snowflake.statement import INSERT, RowsLoaded

MAX_BINDS = 60_000
"""Values per statement. From 65,280 values, the connector would stage them
(CLIENT_STAGE_ARRAY_BINDING_THRESHOLD)."""
MAX_ROWS = 500
"""Rows per statement. The emulator runs a bound INSERT row by row, and every statement must finish in time."""
MAX_BYTES = 4 << 20
"""Arrow memory per statement."""


@dataclass(frozen=True, slots=True)
class BoundInsert:
    """INSERT … VALUES (?, …) for the rows of part files, split into as many statements as the limits require."""

    text: str
    parts: tuple[Path, ...]
    proof: RowsLoaded
    phase: str = INSERT
    columns: Sequence[str] | None = None
    """The files' columns that are bound; None: all."""

    def send(self, session: Session) -> Sequence[Result]:
        rows_of = (rows for part in self.parts for rows in bind_batches(part, self.columns))
        return [session.insert_rows(self.text, rows) for rows in rows_of]


def bind_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[list[tuple[Bind, ...]]]:
    """The file's rows in order, divided into statements. The columns are the file's, in its order; columns: only these
    ones."""
    with pq.ParquetFile(path) as file:
        width = len(columns or file.schema_arrow)
        size = max(1, min(MAX_ROWS, MAX_BINDS // width))
        for batch in file.iter_batches(batch_size=size, columns=columns and list(columns)):
            for piece in _pieces(batch):
                yield bind_rows(piece)


def bind_rows(rows: pa.RecordBatch) -> list[tuple[Bind, ...]]:
    """One tuple of binds per row. All binds of a column have one type, as an array bind requires."""
    columns = [_bind_column(column) for column in rows.columns]
    return list(zip(*columns, strict=True))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = max(1, batch.num_rows * MAX_BYTES // max(batch.nbytes, 1))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _bind_column(column: pa.Array) -> Sequence[Bind]:
    if pa.types.is_binary(column.type):
        return [("BINARY", value) for value in column.to_pylist()]
    return [("TEXT", None if value is None else as_text(value)) for value in column.to_pylist()]


def as_text(value: Any) -> str:
    """A value's text, from which the column's type produces the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, time)):  # datetime is a date
        return value.isoformat()
    return str(value)
