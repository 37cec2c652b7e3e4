"""Keys of rows that are to be deleted: a few in memory, more of them in part files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pgsnow.model.batch import PartFile
from pgsnow.model.key_range import Key
from pgsnow.model.types.mapping import Field
from pgsnow.sync.pipeline.parquet import PartWriter
from pgsnow.sync.pipeline.spool import Spool, spool_error

FEW = 1_000
"""Keys that one statement names; of more, all are written to part files."""
AT_ONCE = 10_000
"""Keys that are held in memory before they are written."""


class KeySpool:
    """Collects keys of one table in bounded memory. Not for use by two threads."""

    def __init__(self, spool: Spool, key: Sequence[Field]) -> None:
        """key: the columns of the part files, all of them texts."""
        self._spool = spool
        self._key = tuple(key)
        self._held: list[Key] = []
        self._writer: PartWriter | None = None
        self._parts: tuple[PartFile, ...] | None = None
        self.rows = 0
        """How many keys there are."""

    def add(self, key: Key) -> None:
        """Add a key. Raises SpoolUnavailable if the disk is full."""
        self._held.append(key)
        self.rows += 1
        if len(self._held) >= AT_ONCE:
            self._write()

    @property
    def few(self) -> Sequence[Key] | None:
        """All keys, if there are at most FEW; None: they are in `parts`."""
        return self._held if self.rows <= FEW else None

    def parts(self) -> tuple[PartFile, ...]:
        """The files of all keys; none may be added afterwards."""
        if self._parts is None:
            self._write()
            self._parts = self._writer.finish() if self._writer is not None else ()
        return self._parts

    def __iter__(self) -> Iterator[Key]:
        """All keys, in the order in which they were added."""
        if self.few is not None:
            yield from self._held
            return
        names = [field.target for field in self._key]
        for part in self.parts():
            with pq.ParquetFile(part.path) as file:
                for batch in file.iter_batches(columns=names):
                    yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def _write(self) -> None:
        if not self._held:
            return
        if self._writer is None:
            self._writer = PartWriter(self._spool.batch_folder(), self._key)
        columns = [pa.array(column, pa.string()) for column in zip(*self._held, strict=True)]
        names = [field.target for field in self._key]
        try:
            self._writer.write(pa.RecordBatch.from_arrays(columns, names=names))
        except OSError as error:
            raise spool_error(error, self._writer.folder) from error
        self._held.clear()
