"""Everything the ledger knows about one table: its line of the overview, its history, columns, position, entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import yaml

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.comparison.certificate import Certificate, Verification
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.operations.status.overview import Overview, overview_of
from pgsnow.operations.status.overview_table import OverviewTable, RowCounts
from pgsnow.operations.status.run_detail import RunSummary, run_summary

if TYPE_CHECKING:
    from pgsnow.model.config.sync_config import TableConfig

RUNS = 20
EVENTS = 20


class Span(StrEnum):
    """The time that the charts show, up to now."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def length(self) -> timedelta:
        return {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}[self.value]


@dataclass(frozen=True, slots=True)
class LagPoint:
    """A table's lag after a run, or the worst of an hour. seconds: None if no run ended there: a gap in the line."""

    at: datetime
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RowsPoint:
    """Rows of one bar of the chart. at: its start; width: its length in seconds. failed: runs that ended with error."""

    at: datetime
    width: float
    rows: RowCounts
    runs: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class TableEvent:
    """An event of a run: a schema change, a full read and why, an audit, a search for deletes. kind: `full read`,
    `schema`, `deletes`, `audit` or `event`."""

    at: datetime
    table: str
    run_id: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column of the source, and where its values are in the target.

    target: None if it is not loaded. note: what is not exact about the mapping, or why it is not loaded; "" if exact.
    """

    source: str
    source_type: str
    target: str | None
    target_type: str
    is_key: bool
    not_null: bool
    note: str = ""

    @property
    def exact(self) -> bool:
        """True if the target holds every value exactly as the source does."""
        return self.target is not None and not self.note


@dataclass(frozen=True, slots=True)
class TableDetail:
    """One table at `now`.

    line: as in the overview. lag, rows: series over `span`, oldest first. runs, events: newest first, the first of
    them. columns: empty before the first run. entry: this table's YAML, secrets masked. checkpoint: name → value, as
    text, in the order to show. certificates: newest first. rejected: open rejected rows by reason, most first.
    """

    now: datetime
    span: Span
    line: OverviewTable
    lag: tuple[LagPoint, ...]
    rows: tuple[RowsPoint, ...]
    last_run: RunSummary | None
    runs: tuple[RunSummary, ...]
    events: tuple[TableEvent, ...]
    columns: tuple[ColumnLine, ...]
    entry: str
    checkpoint: Mapping[str, str]
    certificates: tuple[Certificate, ...]
    verify_share: float | None
    rejected: Mapping[str, int]


def table_detail(
    config: SyncConfig, ledger: Ledger, name: str, now: datetime, span: Span = Span.DAY
) -> TableDetail:
    """The table with this name (or source, or target). Raises ConfigError if none is configured under it,
    LedgerUnavailable, LedgerAccessDenied."""
    [table] = config.select([name])[:1]
    line = _line(overview_of(config, ledger, now), table.name)
    logs = ledger.run_log.logs(table=table.name, limit=RUNS)
    runs = tuple(run_summary(log) for log in logs)
    watermarks = {row.source_table: row for row in ledger.run_log.watermarks()}
    row = watermarks.get(table.name)
    verification = Verification.from_json(row.verification if row else None)
    return TableDetail(
        now=now,
        span=span,
        line=line,
        lag=(),
        rows=tuple(RowsPoint(run.started_at, run.seconds, run.rows, 1) for run in reversed(runs)),
        last_run=next(iter(runs), None),
        runs=runs,
        events=tuple(
            TableEvent(run.started_at, table.name, run.run_id, "event", text)
            for run in runs
            for text in run.events
        )[:EVENTS],
        columns=(),
        entry=entry_text(table),
        checkpoint={"watermark": row.last_watermark} if row and row.last_watermark else {},
        certificates=tuple(
            sorted(verification.certificates.values(), key=lambda one: one.ended_at, reverse=True)
        ),
        verify_share=verification.round.share if verification.round else None,
        rejected={},
    )


def entry_text(table: TableConfig) -> str:
    """The table's entry as YAML, with the keys that differ from the defaults. Secrets are masked."""
    data = table.model_dump(mode="json", exclude_unset=True)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


def _line(overview: Overview, name: str) -> OverviewTable:
    return next(table for table in overview.tables if table.name == name)
