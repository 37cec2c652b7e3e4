"""sync_hours, sync_counters, and sync_logs as a history: what each table did, by hour, by run and in all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgsnow.ledger.history.rows import CounterRow, Cursor, EventRow, HistoryRow, HourRow, LagPoint, RunRow
from pgsnow.ledger.queries import Queries

RECENT = 20
"""Runs of each table in the overview."""


@dataclass(frozen=True, slots=True)
class History:
    """Reads of what `RunLog.finish` has written. Every list is newest first."""

    queries: Queries

    def overview(self) -> list[HistoryRow]:
        """One row for each table that ever ran, by name."""
        return []

    def hours(self, table: str | None, since: datetime) -> list[HourRow]:
        """Totals by hour, of one table or of all (None), from the hour of `since` on, oldest first."""
        return []

    def lags(self, table: str, since: datetime, *, limit: int = 6000) -> list[LagPoint]:
        """The lag at the end of each run of one table since then, oldest first; the newest `limit` of them."""
        return []

    def runs(
        self,
        *,
        table: str | None = None,
        status: str | None = None,
        before: Cursor | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """A page of runs, newest first. table, status: None stands for any. before: the last run of the page before."""
        return []

    def run(self, run_id: str, table: str) -> RunRow | None:
        """One run; None if there is none, or no longer."""
        return None

    def events(
        self, *, table: str | None = None, before: Cursor | None = None, limit: int = 50
    ) -> list[EventRow]:
        """The events of a page of runs that have any, newest first. limit: runs, each with at least one event."""
        return []

    def counters(self) -> list[CounterRow]:
        """The counters of every table that ever ran, by name."""
        return []
