"""Batches of one read put together."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """All their rows. A column that is a decimal in one batch and text in another is text. `batches` is not empty."""
    columns = [_together([batch.column(at) for batch in batches]) for at in range(batches[0].num_columns)]
    return pa.RecordBatch.from_arrays(columns, names=batches[0].schema.names)


def _together(parts: Sequence[pa.Array]) -> pa.Array:
    if len({part.type for part in parts}) > 1:
        parts = [part.cast(pa.string()) for part in parts]
    return pa.concat_arrays(parts)
