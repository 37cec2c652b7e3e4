"""Result of one read of the log: the changes of committed transactions, by table, in the order of their commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pgsnow.model.log.relation import LogRelation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class LogBudget:
    """Limits of one read, after which it ends at the next end of a transaction: bytes of messages, and seconds.
    reach: LSN up to which SQL functions answer without waiting for a standby; None: they need not wait."""

    size: int = 1 << 30
    seconds: float = 60.0
    reach: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeBlock:
    """Messages of one table, joined: inserts (I), updates (U), deletes (D), truncates (T), each beginning with its
    kind, without the transaction id that messages of streamed transactions have. lengths: bytes of each message.
    commits: the end of the commit record (LSN) of each message's transaction; they do not decrease."""

    relation: LogRelation
    data: memoryview
    lengths: npt.NDArray[np.int64]
    commits: npt.NDArray[np.int64]


class LogReading(Protocol):
    """The spooled changes of one read. Close it when they are staged."""

    @property
    def begin(self) -> int:
        """Where the server began: changes of transactions that committed at or before it are not sent again."""

    @property
    def end(self) -> int:
        """Every transaction that committed at or before this position was read whole. It may be confirmed as soon as
        the changes are durably staged."""

    @property
    def complete(self) -> bool:
        """The noted end of the log was reached; False: a limit ended the read before it."""

    @property
    def newest_commit(self) -> datetime | None:
        """When the last transaction committed that was read, by the source's clock; None: none was read."""

    @property
    def committed(self) -> frozenset[int]:
        """Transaction ids (32 bits, subtransactions too where they are known) of the committed transactions."""

    @property
    def tables(self) -> frozenset[int]:
        """Oids of the tables that have changes, or were truncated."""

    @property
    def messages(self) -> int:
        """Number of messages that were read."""

    @property
    def size(self) -> int:
        """Bytes of messages that were read."""

    @property
    def spilled(self) -> int:
        """Bytes that were written to the spool on disk."""

    def relations(self, oid: int) -> tuple[LogRelation, ...]:
        """The definitions of the table that its changes have, in order, without repetitions in a row."""

    def blocks(self, oid: int, *, after: int = 0) -> Iterator[ChangeBlock]:
        """The table's changes of transactions that committed after `after`, in commit order. A block has one
        definition of the table, and at most a few megabytes. May be called again."""

    def close(self) -> None:
        """Delete the spool. Idempotent."""
