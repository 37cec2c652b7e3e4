"""Display of the running demo: a table that is redrawn on a terminal, else lines at intervals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.duration import approximate_duration
from pgsnow.operations.status.table_state import HealthState, health_of

LINE_SECONDS = 5.0
"""Interval of the lines if the output is not a terminal."""
MOST_LOGS = 100_000
STYLES = {
    HealthState.FAILED: "bold red",
    HealthState.STUCK: "bold white on red",
    HealthState.PARTIAL: "yellow",
    HealthState.IDLE: "dim green",
}


@dataclass(frozen=True, slots=True)
class DemoRow:
    """The current state of one table. seconds_ago: since the end of its last run."""

    table: str
    state: HealthState
    why: str
    lag: float | None
    rows: int
    inserted: int
    updated: int
    deleted: int
    runs: int
    seconds_ago: float | None

    def line(self) -> str:
        lag = "–" if self.lag is None else approximate_duration(self.lag)
        tail = f"  {self.why}" if self.why else ""
        return (
            f"{self.table}: {self.state}, lag {lag}, {self.rows} rows, "
            f"{self.inserted} inserted, {self.updated} updated, {self.deleted} deleted in {self.runs} runs{tail}"
        )


def rows_of(config: SyncConfig, ledger: Ledger, counts: Mapping[str, int]) -> list[DemoRow]:
    """One row for each configured table, from the ledger. counts: the source's rows by table."""
    now = datetime.now(UTC)
    marks = {mark.source_table: mark for mark in ledger.run_log.watermarks()}
    rows = []
    for table in config.tables:
        mark = marks.get(table.name)
        health = health_of(mark, interval=config.sync_interval_seconds, now=now)
        logs = ledger.run_log.logs(table=table.name, limit=MOST_LOGS)
        rows.append(
            DemoRow(
                table=table.name,
                state=health.state,
                why=health.why,
                lag=mark.lag_seconds if mark else None,
                rows=counts.get(table.name, 0),
                inserted=sum(log["rows_inserted"] or 0 for log in logs),
                updated=sum(log["rows_updated"] or 0 for log in logs),
                deleted=sum(log["rows_deleted"] or 0 for log in logs),
                runs=len(logs),
                seconds_ago=(now - mark.last_run).total_seconds() if mark and mark.last_run else None,
            )
        )
    return rows


def table_of(rows: list[DemoRow], title: str) -> Table:
    """A table that fits 80 columns."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("table", "state", "lag", "rows", "inserted", "updated", "deleted", "last run"):
        is_text = heading in ("table", "state")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.table,
            Text(str(row.state), style=STYLES.get(row.state, "green")),
            "–" if row.lag is None else approximate_duration(row.lag),
            f"{row.rows:,}",
            f"{row.inserted:,}",
            f"{row.updated:,}",
            f"{row.deleted:,}",
            "–" if row.seconds_ago is None else approximate_duration(max(0.0, row.seconds_ago)),
        )
    return table


class Screen(Protocol):
    """Shows the state of the demo."""

    def show(self, rows: list[DemoRow], title: str) -> None:
        """Show these rows; may be called at any rate."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


@contextmanager
def screen() -> Iterator[Screen]:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        yield DemoLines()
        return
    with Live(console=console, auto_refresh=False) as live:
        yield RedrawnTable(live)


@dataclass(frozen=True, slots=True)
class RedrawnTable:
    """Redraws a table; lines that stay are written above it."""

    live: Live

    def show(self, rows: list[DemoRow], title: str) -> None:
        self.live.update(table_of(rows, title), refresh=True)

    def say(self, text: str) -> None:
        self.live.console.print(text, soft_wrap=True)


class DemoLines:
    """Writes a line for each table, every LINE_SECONDS."""

    def __init__(self) -> None:
        self._next = 0.0

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def show(self, rows: list[DemoRow], title: str) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        for row in rows:
            sys.stdout.write(f"{title} · {row.line()}\n")
        sys.stdout.flush()
