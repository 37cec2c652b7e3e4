"""The JSON API, `{prefix}/api/v1/`: what the pages show, for programs. It reads the ledger alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pgsnow import __version__
from pgsnow.integrations.fastapi.api.actions import add_actions
from pgsnow.integrations.fastapi.api.models import (
    BudgetOut,
    CertificatesOut,
    ErrorOut,
    ErrorsOut,
    EventsOut,
    ReasonOut,
    RequestOut,
    RequestsOut,
    RowsOut,
    RunDetailOut,
    RunOut,
    RunsOut,
    SummaryOut,
    TableDetailOut,
    TableOut,
    TablesOut,
)
from pgsnow.integrations.fastapi.api.problem import RequestProblem, answer_problem, problem_responses
from pgsnow.integrations.fastapi.guarded import guarded
from pgsnow.integrations.fastapi.security import API_HEADERS
from pgsnow.integrations.fastapi.web import Web
from pgsnow.ledger.history.rows import Cursor, EventRow
from pgsnow.ledger.rows import ErrorRow
from pgsnow.model.errors import ConfigError
from pgsnow.operations.status.overview import overview_of
from pgsnow.operations.status.overview_table import with_strips
from pgsnow.operations.status.rejected import rejected_page
from pgsnow.operations.status.run_detail import RunDetail, run_detail, run_summary
from pgsnow.operations.status.series import Span
from pgsnow.operations.status.table_detail import TableDetail, table_detail
from pgsnow.operations.status.table_state import HealthState

STORABLE = r"^[^\x00]*$"
"""Postgres stores no NUL character."""
Name = Annotated[str, Path(pattern=STORABLE, description="Name, source or target of a table.")]
OfTable = Annotated[str | None, Query(pattern=STORABLE, description="Only this table: its name.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
After = Annotated[
    str | None, Query(pattern=STORABLE, max_length=2000, description="`next_cursor` of the page before.")
]


AfterRun = Annotated[
    str | None,
    Query(
        pattern=r"^\d{1,11}\.\d{6}~[^~\x00]+~[^\x00]+$",
        max_length=2000,
        description="`next_cursor` of the page before.",
    ),
]


class RejectedState(StrEnum):
    """State of rejected rows that are listed."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISMISSED = "dismissed"
    ANY = "any"


def api_routes(web: Web) -> APIRouter:
    """The routes of the API."""
    router = APIRouter(
        prefix="/api/v1",
        route_class=guarded(answer_problem(web), API_HEADERS),
        responses=problem_responses(404, 422, 500, 503),
    )
    _add_tables(router, web)
    _add_runs(router, web)
    _add_rows(router, web)
    _add_requests(router, web)
    if web.actions:
        add_actions(router, web)
    return router


def _add_tables(router: APIRouter, web: Web) -> None:
    @router.get("/summary", response_model=SummaryOut)
    def summary() -> Any:
        """One word for the whole sync, its reason, the next step, and the figures of the last 24 hours."""
        found = overview_of(web.config(), web.ledger(), web.now())
        return SummaryOut(
            **{name: getattr(found, name) for name in _SUMMARY},
            statements_24h=found.day.statements,
            warehouse_seconds_24h=found.day.warehouse_seconds,
            credits_24h=found.day.credits,
            budget=BudgetOut.model_validate(found.budget) if found.budget else None,
            rows_24h=RowsOut.model_validate(found.day_rows),
            tables=len(found.tables),
            states={str(state): count for state, count in found.counts.items()},
            open_requests=len(found.requests),
            version=__version__,
        )

    @router.get("/tables", response_model=TablesOut)
    def tables(limit: Limit = 100, cursor: After = None, state: HealthState | None = None) -> Any:
        """Every table of the configuration, by name."""
        found = overview_of(web.config(), web.ledger(), web.now()).tables
        left = sorted(
            (t for t in found if (cursor is None or t.name > cursor) and state in (None, t.state)),
            key=lambda table: table.name,
        )
        shown = with_strips(web.ledger(), left[:limit])
        items = tuple(TableOut.model_validate(table) for table in shown)
        return TablesOut(items=items, next_cursor=items[-1].name if len(left) > limit else None)

    @router.get("/tables/{name:path}/certificate", response_model=CertificatesOut)
    def certificate(name: Name) -> Any:
        """Results of comparisons of a table with its target."""
        found = _detail(web, name, Span.HOUR)
        return {
            "table": found.line.name,
            "certificates": found.certificates,
            "verify_share": found.verify_share,
            "differences": found.line.differences,
        }

    @router.get("/tables/{name:path}", response_model=TableDetailOut)
    def table(name: Name, span: Span = Span.DAY) -> Any:
        """One table: its state, series, runs, events, columns, entry and checkpoint."""
        return _detail(web, name, span)


def _add_runs(router: APIRouter, web: Web) -> None:
    @router.get("/runs", response_model=RunsOut)
    def runs(
        table: OfTable = None,
        status: Annotated[str | None, Query(pattern=STORABLE, description="How they ended.")] = None,
        idle: Annotated[bool, Query(description="Also runs that found nothing new.")] = True,
        limit: Limit = 50,
        cursor: AfterRun = None,
    ) -> Any:
        """Runs, newest first."""
        found = web.ledger().history.runs(
            table=table, status=status, idle=idle, before=_position(cursor), limit=limit + 1
        )
        items = tuple(RunOut.model_validate(run_summary(run)) for run in found[:limit])
        more = found[limit - 1].cursor.to_text() if len(found) > limit else None
        return RunsOut(items=items, next_cursor=more)

    @router.get("/runs/{run_id}/{table:path}", response_model=RunDetailOut)
    def run(run_id: Annotated[str, Path(pattern=STORABLE)], table: Name) -> Any:
        """One run of one table with its statements."""
        found = run_detail(web.ledger(), run_id, table)
        if found is None:
            raise RequestProblem(
                f"no run {run_id!r} of {table!r} is recorded: it is wrong, or older than log_retention_days"
            )
        return _shown(found, protected=web.protected)

    @router.get("/events", response_model=EventsOut)
    def events(table: OfTable = None, limit: Limit = 50, cursor: AfterRun = None) -> Any:
        """Events of runs, newest first."""
        found = web.ledger().history.events(table=table, before=_position(cursor), limit=limit + 1)
        items, more = _whole_runs(found, limit)
        return {"items": items, "next_cursor": more}


def _add_rows(router: APIRouter, web: Web) -> None:
    @router.get("/errors", response_model=ErrorsOut)
    def errors(
        table: OfTable = None,
        state: RejectedState = RejectedState.OPEN,
        limit: Limit = 50,
        cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ) -> Any:
        """Rejected rows, newest first."""
        wanted = None if state is RejectedState.ANY else state.value
        page = rejected_page(web.ledger(), table=table, state=wanted, before=cursor, limit=limit)
        return ErrorsOut(
            items=tuple(_error(row, protected=web.protected) for row in page.rows),
            next_cursor=None if page.next_before is None else str(page.next_before),
            counts=tuple(ReasonOut.model_validate(count) for count in page.counts),
        )


def _add_requests(router: APIRouter, web: Web) -> None:
    @router.get("/requests", response_model=RequestsOut)
    def requests(
        table: OfTable = None,
        limit: Limit = 50,
        cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ) -> Any:
        """Actions that were asked for, newest first."""
        found = web.ledger().requests.listed(table=table, before=cursor, limit=limit + 1)
        more = str(found[limit - 1].id) if len(found) > limit else None
        return {"items": found[:limit], "next_cursor": more}

    @router.get("/requests/{number}", response_model=RequestOut)
    def request(number: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Any:
        """One action, and what became of it."""
        found = web.ledger().requests.get(number)
        if found is None:
            raise RequestProblem(f"there is no request {number}")
        return found


_SUMMARY = (
    "word", "reason", "advice", "now", "worst_lag_seconds", "worst_lag_table", "last_success", "last_tick", "next_tick",
    "interval_seconds",
)  # fmt: skip


def _detail(web: Web, name: str, span: Span) -> TableDetail:
    config = web.config()
    try:
        config.select([name])
    except ConfigError as error:
        raise RequestProblem(str(error), error.advice) from None
    return table_detail(config, web.ledger(), name, web.now(), span)


def _position(cursor: str | None) -> Cursor | None:
    return None if cursor is None else Cursor.from_text(cursor)


def _whole_runs(found: list[EventRow], limit: int) -> tuple[list[EventRow], str | None]:
    """The events of the first `limit` runs, and the cursor of the next page."""
    runs = list(dict.fromkeys(event.cursor for event in found))
    if len(runs) <= limit:
        return found, None
    kept = set(runs[:limit])
    return [event for event in found if event.cursor in kept], runs[limit - 1].to_text()


def _shown(found: RunDetail, *, protected: bool) -> RunDetailOut:
    detail = RunDetailOut.model_validate(found)
    if protected:
        return detail
    hidden = tuple(one.model_copy(update={"query_id": None}) for one in detail.statements)
    return detail.model_copy(update={"statements": hidden})


def _error(row: ErrorRow, *, protected: bool) -> ErrorOut:
    found = ErrorOut.model_validate(row)
    return found if protected else found.model_copy(update={"key": None, "payload": None})
