"""Reading a table: what is in it, and from where to go on."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.read_mode import mode_of
from pgsnow.postgres.read.by_key import payloads, read_keys
from pgsnow.postgres.read.keyset_reader import KeysetReader
from pgsnow.postgres.read.snapshot_reader import SnapshotReader

__all__ = ["Reader", "payloads", "read_keys"]


class Reader:
    """One read of one table. A context manager; leaving it early cancels the query and ends its thread.

    checkpoint: where the last read ended (None: there was none). horizon: taken before this is entered. digest: what a
    probe before this found, for a table that is read as a whole; None: the next probe finds another one. because: why
    everything must be read, whatever the checkpoint tells.
    whole_leaves: oids of tables below the source's whose rows are all read, whatever their age (attached ones).
    Pages come in no particular order (in CURSOR mode in the order of watermark and key). Every row version that
    was not visible to the read before and is visible to this one is in a page, or in its `rejected`; a row may come
    again after a crash or a full read. Nothing is remembered until the caller saves `checkpoint()`.
    """

    def __init__(
        self,
        source: Source,
        plan: TablePlan,
        checkpoint: Checkpoint | None,
        horizon: Horizon,
        *,
        full: bool = False,
        digest: str | None = None,
        because: str | None = None,
        whole_leaves: tuple[int, ...] = (),
    ) -> None:
        mode = mode_of(plan, checkpoint)
        self._read: SnapshotReader | KeysetReader
        if mode is ReadMode.CURSOR:
            self._read = KeysetReader(
                source, plan, checkpoint, horizon, full=full, because=because, whole_leaves=whole_leaves
            )
        else:
            self._read = SnapshotReader(
                source, plan, checkpoint, horizon,
                full=full, digest=digest, because=because, whole_leaves=whole_leaves,
            )  # fmt: skip

    def __enter__(self) -> Reader:
        """Locks the table against changes of its definition, then opens the snapshot. Raises SchemaMoved if the table
        is not any more as `plan.fingerprint` says, SourceUnavailable (also if it stays locked by another session),
        SourceTableMissing, SourceAccessDenied."""
        self._read.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._read.__exit__(kind, error, trace)

    @property
    def full_read(self) -> str | None:
        """Why everything is read, or None for what changed. Known once entered."""
        return self._read.full_read

    @property
    def resumable(self) -> bool:
        """True if `checkpoint()` may be called, and saved, between two pages."""
        return self._read.resumable

    def pages(self) -> Iterator[Page]:
        """The rows, at most `batch_size` a page where a function is given them; columns named and
        typed as `plan.fields` say. Once only.

        Raises SourceUnavailable when the connection breaks, SourceQueryFailed when the statement fails.
        """
        return self._read.pages()

    def checkpoint(self) -> Checkpoint:
        """What may be saved once all pages yielded so far are in the target.

        Raises RuntimeError before the last page unless `resumable`.
        """
        return self._read.checkpoint()
