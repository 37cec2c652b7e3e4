"""The keys of a load batch, which tell whether a page of changes may be added to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.sync.stream.change_page import ChangePage
from pgsnow.sync.stream.compaction import key_codes


class BatchKeys:
    """The keys that the pages of one load batch have touched. pk: the names of the key's columns."""

    def __init__(self, pk: Sequence[str]) -> None:
        self._pk = [*pk]
        self._touched: list[pa.RecordBatch] = []

    def admits(self, page: ChangePage) -> bool:
        """False: the page must begin a new load batch, because a row in it takes columns that did not change from a key
        that the batch has touched, or because the table was truncated before it."""
        if not self._touched or page.truncates:
            return not self._touched
        needed = needed_keys(page, self._pk)
        if needed.num_rows == 0:
            return True
        together = [
            pa.chunked_array([part.column(at) for part in (needed, *self._touched)]).combine_chunks()
            for at in range(len(self._pk))
        ]
        codes = key_codes(together)
        return not np.isin(codes[: needed.num_rows], codes[needed.num_rows :]).any()

    def add(self, page: ChangePage) -> None:
        """Count the page's keys among those of the batch."""
        self._touched += [page.page.rows.select(self._pk), page.deleted]


def needed_keys(page: ChangePage, pk: Sequence[str]) -> pa.RecordBatch:
    """The keys of the rows in the target from which rows of the page take the columns that they lack."""
    own = page.page.rows.select([*pk])
    if page.unchanged is None:
        return own.slice(0, 0)
    if page.moved is not None:
        is_moved = page.moved.column(0).is_valid()
        columns = [
            pc.if_else(is_moved, moved, present)
            for moved, present in zip(page.moved.columns, own.columns, strict=True)
        ]
        own = pa.RecordBatch.from_arrays(columns, names=[*pk])
    return own.filter(page.unchanged.is_valid())
