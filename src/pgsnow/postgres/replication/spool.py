"""Changes that were read from the log, by transaction and table: in memory as long as they are few, else on disk.

The files have no name (they are unlinked when they are made), so that nobody else can open them, and a process that is
killed leaves nothing."""

from __future__ import annotations

import errno
import os
import tempfile
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pgsnow.model.errors import LogSpoolFull, PgsnowError, SpoolDenied, SpoolUnavailable
from pgsnow.model.log.relation import LogRelation

EXTENT = 2 << 20
"""Bytes of messages after which a table's next extent begins."""
MEMORY = 32 << 20
"""Bytes of messages that are held in memory, in all, if nothing else is said."""
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE})


@dataclass(slots=True)
class Extent:
    """Messages of one table with one definition, in order, of one or several transactions.

    owners: for each run of messages, the number of its transaction in the reading; in a streamed transaction the id of
    its subtransaction. starts: the message that each run begins with. lengths: bytes of each message. Once they are on
    disk (`at`: where in the file), the arrays are empty, and messages, runs, size remain."""

    relation: LogRelation
    home: SpoolFile
    owner: int = -1
    owners: array[int] = field(default_factory=lambda: array("Q"))
    starts: array[int] = field(default_factory=lambda: array("I"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    data: bytearray = field(default_factory=bytearray)
    at: int = -1
    messages: int = 0
    runs: int = 0
    size: int = 0
    open: bool = True

    def begin_run(self, owner: int) -> None:
        """The next messages are this owner's."""
        self.owner = owner
        self.owners.append(owner)
        self.starts.append(len(self.lengths))

    def seal(self) -> None:
        """No more messages are added. Idempotent."""
        if self.open:
            self.open = False
            self.messages, self.runs, self.size = len(self.lengths), len(self.owners), len(self.data)

    def write(self) -> int:
        """Move the messages to disk; returns the bytes written."""
        self.seal()
        parts = (self.data, self.lengths, self.owners, self.starts)
        self.at, written = self.home.append(parts)
        self.data, self.lengths = bytearray(), array("I")
        self.owners, self.starts = array("Q"), array("I")
        return written


class SpoolFile:
    """A file on disk that is made at the first write."""

    def __init__(self, budget: SpoolBudget) -> None:
        self._budget = budget
        self._file: IO[bytes] | None = None
        self.size = 0
        self.closed = False

    def append(self, parts: tuple[bytearray | array[int], ...]) -> tuple[int, int]:
        """Write the parts one after the other; where they begin, and their bytes. Raises SpoolUnavailable, SpoolDenied,
        LogSpoolFull."""
        length = sum(memoryview(part).nbytes for part in parts)
        self._budget.take(length)
        begin = self.size
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._budget.folder, buffering=0)  # noqa: SIM115
            for part in parts:
                self._write(memoryview(part).cast("B"))
        except OSError as error:
            raise _file_error(error, self._budget.folder) from error
        return begin, length

    def _write(self, rest: memoryview) -> None:
        assert self._file is not None
        while rest:
            wrote = self._file.write(rest)
            assert wrote
            self.size += wrote
            rest = rest[wrote:]

    def read(self, at: int, size: int) -> bytearray:
        """Bytes that were written. Raises SpoolUnavailable."""
        if self._file is None:
            raise SpoolUnavailable("changes of the log were already removed from the spool")
        found = bytearray(size)
        got = 0
        try:
            while got < size:
                more = os.preadv(self._file.fileno(), [memoryview(found)[got:]], at + got)
                if not more:
                    raise SpoolUnavailable("changes of the log are missing in the spool")
                got += more
        except OSError as error:
            raise _file_error(error, self._budget.folder) from error
        return found

    def close(self) -> None:
        """Free the disk. Idempotent."""
        self.closed = True
        if self._file is not None:
            self._file.close()
            self._file = None
            self._budget.give_back(self.size)


class SpoolBudget:
    """The bytes on disk that all spooled changes of a session may have (limit), and those in memory before they are
    written."""

    def __init__(self, folder: Path, limit: int, memory: int = MEMORY) -> None:
        self.folder = folder
        self.limit = limit
        self.memory = memory
        self.used = 0
        self.spilled = 0
        self.transaction = 0
        """The id of the transaction whose changes are being read."""

    def take(self, size: int) -> None:
        """Raises LogSpoolFull if that is too much."""
        if self.used + size > self.limit:
            raise LogSpoolFull(
                f"the changes of the log up to those of transaction {self.transaction} need more than"
                f" {self.limit >> 20} MB on the worker's disk"
            )
        self.used += size
        self.spilled += size

    def give_back(self, size: int) -> None:
        self.used -= size


def _file_error(error: OSError, folder: Path) -> PgsnowError:
    text = f"changes of the log cannot be written to {folder}: {error.strerror or error}"
    return SpoolUnavailable(text) if error.errno in _PASSING else SpoolDenied(text)
