"""The fetching thread: in order, bounded, and gone when it is not wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from pgsnow.postgres.read.prefetch import READY, Prefetcher

SCHEMA = pa.schema([("n", pa.int64())])


class Source:
    """A reader of so many batches, which counts what was fetched and can be cancelled."""

    def __init__(self, batches: int, error: Exception | None = None) -> None:
        self.fetched = 0
        self.cancelled = threading.Event()
        self._batches = batches
        self._error = error

    def reader(self) -> Iterator[pa.RecordBatch]:
        for n in range(self._batches):
            if self.cancelled.is_set():
                raise OSError("cancelled")
            self.fetched += 1
            yield pa.record_batch([[n]], schema=SCHEMA)
        if self._error:
            raise self._error

    def stream(self) -> Prefetcher[pa.RecordBatch]:
        return Prefetcher(self.reader(), self.cancelled.set)


def test_batches_come_in_order() -> None:
    source = Source(50)
    with source.stream() as stream:
        assert [batch.column(0)[0].as_py() for batch in stream] == list(range(50))
    assert not source.cancelled.is_set()


def test_an_error_comes_after_the_batches_before_it() -> None:
    got = []
    with pytest.raises(OSError, match="cut"), Source(3, OSError("cut")).stream() as stream:
        for batch in stream:
            got.append(batch)
    assert len(got) == 3


def test_no_more_is_fetched_than_may_wait() -> None:
    source = Source(1000)
    with source.stream() as stream:
        next(iter(stream))
        threading.Event().wait(0.3)  # time enough to fetch everything, if it did
        assert source.fetched <= READY + 2


def test_leaving_early_cancels_and_ends_the_thread() -> None:
    source = Source(1000)
    before = threading.active_count()
    with source.stream() as stream:
        next(iter(stream))
    assert source.cancelled.is_set()
    assert threading.active_count() == before
