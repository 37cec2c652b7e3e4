"""Everything that the ledger knows about one table: its line of the overview, its history, columns, position, entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import yaml

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.history.rows import EventRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import Request
from pgsnow.ledger.rows import RejectedCount
from pgsnow.model.comparison.certificate import Certificate, Verification
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.columns import ColumnLine, column_lines
from pgsnow.operations.status.overview_table import OverviewTable, table_line, with_strips
from pgsnow.operations.status.run_detail import RunSummary, run_summary
from pgsnow.operations.status.series import Span, TableSeries, series_of
from pgsnow.operations.status.table_status import table_statuses

if TYPE_CHECKING:
    from pgsnow.ledger.checkpoints import Remembered
    from pgsnow.ledger.rows import WatermarkRow
    from pgsnow.model.config.sync_config import TableConfig

__all__ = ["Span", "TableDetail", "entry_text", "table_detail"]

RUNS = 20
EVENTS = 20
REQUESTS = 5


@dataclass(frozen=True, slots=True)
class TableDetail:
    """One table at `now`.

    line: as in the overview. series: over `span`. last_run: the newest run that did more than find nothing; None: there
    was none. runs, events, requests: newest first, the first of them. columns: empty before the first run. entry: this
    table's YAML, secrets masked. checkpoint: name → value, as text, in the order to show. certificates: newest first.
    verify_share: the part of the table that verify_every has compared in this round, None if there is none. rejected:
    open rejected rows by reason, most first.
    """

    now: datetime
    span: Span
    line: OverviewTable
    series: TableSeries
    last_run: RunSummary | None
    runs: tuple[RunSummary, ...]
    events: tuple[EventRow, ...]
    requests: tuple[Request, ...]
    columns: tuple[ColumnLine, ...]
    entry: str
    checkpoint: Mapping[str, str]
    certificates: tuple[Certificate, ...]
    verify_share: float | None
    rejected: tuple[RejectedCount, ...]


def table_detail(
    config: SyncConfig, ledger: Ledger, name: str, now: datetime, span: Span = Span.DAY
) -> TableDetail:
    """The table with this name (or source, or target). Raises ConfigError if none is configured under it,
    LedgerUnavailable, LedgerAccessDenied."""
    named = next((one for one in config.tables if one.name == name), None)
    table = named or config.select([name])[0]
    empty = _before_the_first_run(config, table, now, span)
    return unless_missing(lambda: _recorded(config, table, ledger, now, span), empty)


def _recorded(
    config: SyncConfig, table: TableConfig, ledger: Ledger, now: datetime, span: Span
) -> TableDetail:
    """The table as the ledger has it."""
    rows, budget = ledger.run_log.watermarks(table.name), budget_of(config, ledger, now)
    [status] = table_statuses(config, [table], rows, now, budget)
    history = next(iter(ledger.history.overview(table.name)), None)
    [line] = with_strips(ledger, [table_line(config, status, history)])
    remembered = ledger.checkpoints.remembered(table.name).get(table.name)
    verification = Verification.from_json(status.row.verification if status.row else None)
    runs = tuple(map(run_summary, ledger.history.runs(table=table.name, limit=RUNS)))
    return TableDetail(
        now=now,
        span=span,
        line=line,
        series=series_of(ledger, table.name, line.lag_seconds, now, span),
        last_run=next(map(run_summary, ledger.history.runs(table=table.name, idle=False, limit=1)), None),
        runs=runs,
        events=tuple(ledger.history.events(table=table.name, limit=EVENTS)[:EVENTS]),
        requests=tuple(ledger.requests.listed(table=table.name, limit=REQUESTS)),
        columns=column_lines(table, remembered.definition) if remembered and remembered.definition else (),
        entry=entry_text(table),
        checkpoint=dict(_checkpoint(status.row, remembered)),
        certificates=tuple(
            sorted(verification.certificates.values(), key=lambda one: one.ended_at, reverse=True)
        ),
        verify_share=verification.round.share if verification.round else None,
        rejected=tuple(ledger.rejected_rows.counts(table.name)),
    )


def entry_text(table: TableConfig) -> str:
    """The table's entry as YAML: the keys that it or `defaults:` sets. Secrets are masked."""
    data = table.model_dump(mode="json", exclude_unset=True)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


def _before_the_first_run(config: SyncConfig, table: TableConfig, now: datetime, span: Span) -> TableDetail:
    """The table in a ledger that has no tables yet."""
    [status] = table_statuses(config, [table], [], now)
    return TableDetail(
        now=now,
        span=span,
        line=table_line(config, status, None),
        series=TableSeries((), ()),
        last_run=None,
        runs=(),
        events=(),
        requests=(),
        columns=(),
        entry=entry_text(table),
        checkpoint={},
        certificates=(),
        verify_share=None,
        rejected=(),
    )


def _checkpoint(row: WatermarkRow | None, remembered: Remembered | None) -> Iterator[tuple[str, str]]:
    """Names and values of what the ledger stores as the table's position."""
    if remembered is not None and remembered.unreadable is not None:
        yield "unreadable", str(remembered.unreadable)
    if row and row.last_watermark:
        yield "watermark", row.last_watermark
    found = remembered.checkpoint if remembered else None
    if found is None:
        return
    yield "read mode", str(found.mode)
    yield "read up to transaction", str(found.x)
    if found.seen:
        yield "later transactions read", str(len(found.seen))
    if found.audited_at:
        yield "last audit", found.audited_at
    if found.cursor:
        yield "last row read", ", ".join(found.cursor)
    yield "source server", f"{found.identity.system_identifier}, timeline {found.identity.timeline}"
