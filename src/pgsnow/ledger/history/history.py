"""sync_hours, sync_counters, and sync_logs as a history: what each table did, by hour, by run and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from pgsnow.ledger.history.rows import (
    CounterRow,
    Cursor,
    EventRow,
    HistoryRow,
    HourRow,
    LagPoint,
    RecentRun,
    RunRow,
    Totals,
    recent_runs,
)
from pgsnow.ledger.queries import Queries

STATUSES = ("ok", "idle", "partial", "error", "stopped", "locked")
"""Statuses that are counted."""
RUNS = tuple((status, f"runs_{status}") for status in STATUSES)
"""Status, and the column with the number of its runs."""
SUMS = {
    field.name: "statement_count" if field.name == "statements" else field.name
    for field in fields(Totals)
    if field.name not in ("runs", "phases")
}
"""Field of Totals → column."""
TUPLES = ("query_ids", "events", "statements")


@dataclass(frozen=True, slots=True)
class History:
    """Reads of what `RunLog.finish` has written. None of them reads all of sync_logs."""

    queries: Queries

    def overview(self, table: str | None = None) -> list[HistoryRow]:
        """One row for each table that ever ran, by name, or for one table."""
        return [
            HistoryRow(
                row["source_table"],
                row["newest"],
                _totals(row),
                row["last_loaded"],
            )
            for row in self.queries.execute("history_overview", table=table).fetchall()
        ]

    def recent(self, tables: Sequence[str] | None = None) -> dict[str, tuple[RecentRun, ...]]:
        """The newest runs of these tables, or of all that ever ran, newest first, at most 20 of each."""
        rows = self.queries.execute("history_recent", tables=None if tables is None else list(tables))
        return {row["source_table"]: recent_runs(row["recent"]) for row in rows}

    def hours(self, table: str | None, since: datetime) -> list[HourRow]:
        """Totals by hour, of one table or of all together (None), from the hour of `since` on, oldest first. An hour
        without a run has no row."""
        return [
            HourRow(row["source_table"], row["hour"], _totals(row), row["worst_lag"])
            for row in self.queries.execute("history_hours", table=table, since=since)
        ]

    def lags(self, table: str, since: datetime, *, limit: int = 6000) -> list[LagPoint]:
        """The lag at the end of each run of one table since then, oldest first; the newest `limit` of them."""
        rows = self.queries.execute("history_lags", table=table, since=since, limit=limit).fetchall()
        return [LagPoint(**row) for row in reversed(rows)]

    def runs(
        self,
        *,
        table: str | None = None,
        status: str | None = None,
        idle: bool = True,
        before: Cursor | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """A page of runs, newest first. table, status: None stands for any. idle: with the runs that found nothing new.
        before: the last run of the page before."""
        place = _place(before)
        found = self.queries.execute(
            "history_runs", table=table, status=status, idle=idle, limit=limit, **place
        )
        return [_run(row) for row in found]

    def run(self, run_id: str, table: str) -> RunRow | None:
        """One run; None if there is none, or no longer."""
        row = self.queries.execute("history_run", run_id=run_id, table=table).fetchone()
        return None if row is None else _run(row)

    def events(
        self, *, table: str | None = None, before: Cursor | None = None, limit: int = 50
    ) -> list[EventRow]:
        """The events of a page of runs that have any, newest first. limit: runs, each with at least one event. The
        next page begins after `cursor` of the last row."""
        rows = self.queries.execute("history_events", table=table, limit=limit, **_place(before))
        return [event for row in rows for event in _events(row)]

    def counters(self) -> list[CounterRow]:
        """The counters of every table that ever ran, by name."""
        return [
            CounterRow(row["source_table"], _totals(row, row["phases"]), row["since"])
            for row in self.queries.execute("counters").fetchall()
        ]


def _totals(row: Mapping[str, Any], phases: Any = None) -> Totals:
    runs = {status: row[column] for status, column in RUNS if row[column]}
    sums = {name: row[column] for name, column in SUMS.items()}
    return Totals(runs=runs, phases=phases if isinstance(phases, dict) else {}, **sums)


def _place(before: Cursor | None) -> dict[str, Any]:
    if before is None:
        return {"started_at": None, "run_id": None, "after_table": None}
    return {
        "started_at": before.started_at,
        "run_id": before.run_id,
        "after_table": before.source_table,
    }


def _run(row: Mapping[str, Any]) -> RunRow:
    return RunRow(**{**row, **{name: tuple(row[name] or ()) for name in TUPLES}})


def _events(row: Mapping[str, Any]) -> list[EventRow]:
    """The reason why everything was read first, then the events in their order."""
    where = row["source_table"], row["run_id"], row["started_at"]
    found = [EventRow(*where, row["full_read"], row["status"], is_full_read=True)] if row["full_read"] else []
    return found + [EventRow(*where, text, row["status"]) for text in row["events"]]
