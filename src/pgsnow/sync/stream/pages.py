"""Pages of changes of one table, from the blocks that were read from the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.sync.stream.change_page import ChangePage


def change_pages(blocks: Iterable[ChangeBlock], plan: TablePlan, source: Source) -> Iterator[ChangePage]:
    """The changes in the order of their commits, in pages of some 100,000 changes. A page does not depend on an earlier
    one, but what its rows lack is in the target only when all earlier pages were loaded: see `BatchKeys`.

    source: asked to convert values of types that only it knows, over a connection that is opened at the first of them.
    Raises RelationChanged, KeyNotLogged, ChangesMalformed (no page that was given is wrong then), SourceUnavailable.
    """
    raise NotImplementedError


class BatchKeys:
    """The keys that the pages of one load batch have touched."""

    def __init__(self) -> None:
        self._touched: list[pa.RecordBatch] = []

    def admits(self, page: ChangePage) -> bool:
        """False: the page must begin a new load batch, because a row in it takes columns that did not change from a key
        that the batch has touched, or because the table was truncated before it."""
        raise NotImplementedError

    def add(self, page: ChangePage) -> None:
        """Count the page's keys among those of the batch."""
        raise NotImplementedError
