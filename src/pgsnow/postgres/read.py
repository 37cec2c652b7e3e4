"""Reading a table: is there anything, what is it, and from where to go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable

from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.advance import Step, advanced
from pgsnow.postgres.changes import Changes
from pgsnow.postgres.connection import Source
from pgsnow.postgres.cursor import CursorPages, beyond
from pgsnow.postgres.digest import digest
from pgsnow.postgres.errors import translating
from pgsnow.postgres.look import approach
from pgsnow.postgres.reason import CONTENT_CHANGED, mode_of
from pgsnow.postgres.replay import payloads, read_keys
from pgsnow.postgres.sequence import Fetch

__all__ = ["Probe", "Reading", "idle_checkpoint", "payloads", "probe", "read_keys"]

_XMAX = SQL("(select txid_snapshot_xmax(txid_current_snapshot()))")
"""A subquery without outer references is evaluated once a statement, not once a row."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One look. busy: there are rows to read. full_read: why everything must be, or None."""

    step: Step
    busy: bool
    full_read: str | None
    digest: str | None = None
    """Of the content, for tables that are read as a whole."""

    @property
    def x(self) -> int:
        return self.step.x

    @property
    def xmax(self) -> int:
        return self.step.xmax


def probe(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Probe:
    """Would a read find anything? One statement, one snapshot (and two small ones before it for an integer watermark).

    `conn` is in autocommit mode; `horizon` was taken before. Reads nothing but an index where there is one on the
    watermark. Raises SourceUnavailable, SourceTableMissing, ColumnMissing, SourceAccessDenied.
    """
    with translating("source", str(plan.source.name)):
        way = approach(_fetching(conn), plan, checkpoint, horizon)
        condition: Composable = SQL("true")
        if checkpoint is not None and way.mode is ReadMode.CURSOR:
            condition = beyond(plan, checkpoint.cursor)
        elif way.window is not None:
            condition = way.window.condition(_XMAX)
        looked = digest(plan) if plan.whole else _any(plan, condition)
        query = SQL("select {}, pg_is_in_recovery(), {}").format(sql.TXIDS, looked)
        ((x, xmax, standby, found),) = conn.execute(query).fetchall()
    reason = way.full_read_at(checkpoint, x, xmax)
    step = way.step(x, xmax, standby=standby)
    if not plan.whole:
        return Probe(step, busy=found or reason is not None, full_read=reason)
    if reason is None and checkpoint is not None and checkpoint.digest != found:
        reason = CONTENT_CHANGED
    return Probe(step, busy=reason is not None, full_read=reason, digest=found)


def _any(plan: TablePlan, condition: Composable) -> Composable:
    return SQL("exists (select from {} where {})").format(sql.table(plan), condition)


def idle_checkpoint(
    found: Probe, plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> Checkpoint:
    """The checkpoint after a probe that found nothing: as if nothing had been read. Sends no statement."""
    if found.busy or checkpoint is None:
        raise ValueError(f"{plan.config.name} has rows to read")
    return advanced(
        checkpoint,
        horizon,
        found.step,
        seen=checkpoint.seen,
        cursor=checkpoint.cursor,
        digest=checkpoint.digest,
    )


class Reading:
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
        self._read: Changes | CursorPages
        if mode is ReadMode.CURSOR:
            self._read = CursorPages(
                source, plan, checkpoint, horizon, full=full, because=because, whole_leaves=whole_leaves
            )
        else:
            self._read = Changes(
                source, plan, checkpoint, horizon,
                full=full, digest=digest, because=because, whole_leaves=whole_leaves,
            )  # fmt: skip

    def __enter__(self) -> Reading:
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


def _fetching(conn: psycopg.Connection[Any]) -> Fetch:
    return lambda query: conn.execute(sql.text_of(query).encode()).fetchall()
