"""Carries out the actions that people have asked for: takes each from the ledger once, and records how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import Request, RequestAction
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import LedgerAccessDenied, LedgerUnavailable, PgsnowError
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.model.sentences import counted
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.log import log_unexpected, logger

UNFINISHED = frozenset({Status.LOCKED, Status.STOPPED})
MOST_REPLAYED = 10_000
"""Rejected rows that one request replays, if it names none."""


class Acts(Protocol):
    """The engine, as far as a request needs it."""

    config: SyncConfig
    settings: Any
    ledger: Ledger

    @property
    def stopping(self) -> bool: ...
    def tick(
        self,
        tables: Sequence[str] | None = None,
        *,
        resync: bool = False,
        load: bool = False,
        leave_chunks: bool = False,
        requested: bool | None = None,
        asked_by: str | None = None,
    ) -> SyncReport: ...
    def replay(self, error_ids: Sequence[int], *, asked_by: str | None = None) -> SyncReport: ...


def carry_out(engine: Acts, holder: str, *, only: int | None, leave_chunks: bool) -> list[SyncReport]:
    """See Engine.carry_out_requests."""
    requests, reports, skip = engine.ledger.requests, [], list[int]()
    tables = [table.name for table in engine.config.tables]
    while not engine.stopping and (request := requests.take(holder, tables, only=only, skip=skip)):
        skip.append(request.id)
        logger(request.source_table).info(
            "request taken", request=request.id, action=request.action.value, by=request.requested_by
        )
        try:
            report = _act(engine, request, leave_chunks)
            _record(engine, request, report)
        except (LedgerUnavailable, LedgerAccessDenied) as error:
            # The session may live on, and its lock would keep the request from every worker, this one included.
            with suppress(PgsnowError):
                requests.put_back(request, public_text(error))
            raise
        except Exception as error:
            if not isinstance(error, PgsnowError):
                log_unexpected(error, engine.settings.secrets(), request.source_table)
            requests.finish(request, status=Status.ERROR, error=public_text(error))
            continue
        if report is not None:
            reports.append(report)
    return reports


def _act(engine: Acts, request: Request, leave_chunks: bool) -> SyncReport | None:
    """The report of its run; None: there was nothing to do. Raises ConfigError for an unknown table."""
    asked_by, arguments = f"request {request.id}", request.arguments
    tables = None if request.source_table is None else [engine.config.table(request.source_table).name]
    if request.action is RequestAction.REPLAY:
        ids = arguments.get("ids")
        if ids is None:
            found = engine.ledger.rejected_rows.page(table=request.source_table, limit=MOST_REPLAYED)
            ids = [row.id for row in found]
        return engine.replay(ids, asked_by=asked_by) if ids else None
    return engine.tick(
        tables,
        resync=request.action is RequestAction.RESYNC,
        load=bool(arguments.get("load")),
        leave_chunks=leave_chunks,
        requested=True,
        asked_by=asked_by,
    )


def _record(engine: Acts, request: Request, report: SyncReport | None) -> None:
    """Record how the request ended. One whose only table was not free, or whose run was stopped, stays open."""
    requests = engine.ledger.requests
    if report is None or not report.tables:
        requests.finish(request, status="nothing to do")
        return
    unfinished = [table for table in report.tables if table.status in UNFINISHED and not table.chunks_left]
    if unfinished and len(unfinished) == len(report.tables):
        requests.put_back(request, unfinished[0].error or f"the run was {unfinished[0].status.value}")
        return
    failed = [table for table in report.tables if table.error and table.status is not Status.LOCKED]
    paused = [table for table in report.tables if table.status is Status.PAUSED]
    error = None
    if failed:
        error = failed[0].error if len(report.tables) == 1 else _together(failed, report)
    elif len(paused) == len(report.tables):
        error = "paused: resume the table first"
    requests.finish(request, status=_status(report.tables), error=error, run_id=report.run_id)


def _status(tables: Sequence[TableReport]) -> str:
    """How the run of one table ended; for several, the number of tables by status."""
    if len(tables) == 1:
        left = tables[0].chunks_left
        return f"loading: {counted(left, 'chunk')} left" if left else tables[0].status.value
    statuses = [table.status.value for table in tables]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def _together(failed: Sequence[TableReport], report: SyncReport) -> str:
    names = ", ".join(table.table for table in failed[:3])
    more = ", …" * (len(failed) > 3)
    return f"{len(failed)} of {counted(len(report.tables), 'table')} failed: {names}{more}"
