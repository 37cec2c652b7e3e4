"""Pages of one table, of runs, of rejected rows, and of the setup."""

from __future__ import annotations

import shlex
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from pgsnow.integrations.fastapi.addresses import list_address, run_address, table_address
from pgsnow.integrations.fastapi.charts.table_charts import lag_chart, phases_chart, row_totals, rows_chart
from pgsnow.integrations.fastapi.forms.action_forms import action_routes
from pgsnow.integrations.fastapi.forms.asked import asked_actions, busy_actions, busy_rows
from pgsnow.integrations.fastapi.page import PageNotFound, page_of, page_router
from pgsnow.integrations.fastapi.web import Web
from pgsnow.integrations.fastapi.words import shown_run, shown_state
from pgsnow.ledger.history.rows import Cursor
from pgsnow.ledger.requests.requests import RequestAction
from pgsnow.model.comparison.certificate import Certificate
from pgsnow.model.sentences import counted
from pgsnow.operations.check.result import Level
from pgsnow.operations.status.rejected import rejected_page
from pgsnow.operations.status.run_detail import RunDetail, run_detail, run_summary
from pgsnow.operations.status.setup import Setup, setup_of
from pgsnow.operations.status.table_detail import Span, TableDetail, table_detail
from pgsnow.operations.status.table_state import HealthState

Text = Annotated[str, Query(pattern=r"^[^\x00]*$", max_length=1000)]
PathText = Annotated[str, Path(pattern=r"^[^\x00]*$")]
Number = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
PAGE = 50
"""Entries of a list that one page shows."""
RESULTS = (("", "all"), ("ok", "ok"), ("idle", "idle"), ("partial", "partial"), ("error", "error"))
WORST_FIRST = (Level.FAILED, Level.WARNING, Level.OK)
LEVELS = {Level.OK: ("ok", "good"), Level.WARNING: ("works, but", "warn"), Level.FAILED: ("failed", "bad")}
COMMON = {
    "table_address": table_address,
    "run_address": run_address,
    "shown_run": shown_run,
    "requests": (),
    "busy": frozenset(),
}
"""Values that the templates of these pages share."""


def table_page_routes(web: Web) -> APIRouter:
    """The routes of these pages; with `web.actions` also the one that takes their forms."""
    router = page_router(web)

    @router.get("/tables/{name:path}")
    def table(request: Request, name: str, span: Span = Span.DAY) -> Response:
        if name not in {table.name for table in web.config().tables}:
            raise PageNotFound(f"No table of the configuration has the name {name}.")
        detail = table_detail(web.config(), web.ledger(), name, web.now(), span)
        return page_of(web, request, "table.html", **table_values(detail))

    @router.get("/runs")
    def runs(request: Request, table: Text = "", status: Text = "", before: Text = "") -> Response:
        return page_of(web, request, "runs.html", **_runs_values(web, table, status, before))

    @router.get("/runs/{run_id}/{table:path}")
    def run(request: Request, run_id: PathText, table: PathText) -> Response:
        detail = run_detail(web.ledger(), run_id, table)
        if detail is None:
            raise PageNotFound(f"No run {run_id} of {table} is kept in the ledger.")
        return page_of(web, request, "run.html", **run_values(detail))

    @router.get("/rejected")
    def rejected(request: Request, table: Text = "", state: Text = "open", before: Number = None) -> Response:
        return page_of(web, request, "rejected.html", **_rejected_values(web, table, state, before))

    @router.get("/setup")
    def setup(request: Request) -> Response:
        return page_of(web, request, "setup.html", **_setup_values(setup_of(web.ledger())))

    if web.actions:
        router.include_router(action_routes(web))
    return router


def table_values(detail: TableDetail) -> dict[str, Any]:
    """Values of table.html, without those that all pages share."""
    line, last = detail.line, detail.last_run
    phases, parts = phases_chart(last) if last else (None, [])
    return COMMON | {
        "detail": detail,
        "line": line,
        "shown": shown_state(line),
        "advice": _advice(detail),
        "lag_from": None if line.lag_seconds is None else detail.now - timedelta(seconds=line.lag_seconds),
        "lag": lag_chart(detail),
        "row_bars": rows_chart(detail),
        "totals": row_totals(detail.series.rows),
        "phases": phases,
        "phase_parts": parts,
        "spans": [*Span],
        "inexact": sum(not column.exact for column in detail.columns),
        "certified_at": _certified_at,
        "requests": asked_actions(detail.requests, detail.now),
        "busy": busy_actions(detail.requests),
        "quoted_name": shlex.quote(line.name),
        "runs_address": list_address("runs", table=line.name),
        "rejected_address": list_address("rejected", table=line.name),
        "commands": _commands(line.name, paused=line.pause is not None, rejected=line.open_rejected > 0),
    }


def _runs_values(web: Web, table: str, status: str, before: str) -> dict[str, Any]:
    try:
        cursor = Cursor.from_text(before) if before else None
    except ValueError:
        raise PageNotFound("The address names no place in the list of runs.") from None
    found = web.ledger().history.runs(
        table=table or None, status=status or None, before=cursor, limit=PAGE + 1
    )
    address = partial(list_address, "runs", table=table)
    more = len(found) > PAGE
    return COMMON | {
        "runs": [run_summary(run) for run in found[:PAGE]],
        "table": table,
        "status": status,
        "statuses": RESULTS,
        "older": bool(before),
        "address": address,
        "next": address(status=status, before=found[PAGE - 1].cursor.to_text()) if more else "",
    }


def run_values(detail: RunDetail) -> dict[str, Any]:
    """Values of run.html, without those that all pages share."""
    phases, parts = phases_chart(detail.run)
    return COMMON | {
        "detail": detail,
        "run": detail.run,
        "shown": shown_run(detail.run.status),
        "phases": phases,
        "phase_parts": parts,
        "runs_address": list_address("runs", table=detail.run.table),
    }


def _rejected_values(web: Web, table: str, state: str, before: int | None) -> dict[str, Any]:
    wanted = None if state == "all" else state
    page = rejected_page(web.ledger(), table=table or None, state=wanted, before=before, limit=PAGE)
    by_table, by_reason = Counter[str](), Counter[str]()
    for count in page.counts:
        by_table[count.source_table] += count.rows
        by_reason[count.reason] += count.rows
    asked = web.ledger().requests.listed(table=table or None, limit=20) if web.actions else []
    about_rows = [one for one in asked if one.action in (RequestAction.REPLAY, RequestAction.DISMISS)]
    address = partial(list_address, "rejected")
    given = {"table": table, "state": state if state != "open" else ""}
    return COMMON | {
        "rows_found": page.rows,
        "table": table,
        "shown_state": state,
        "by_table": by_table,
        "by_reason": by_reason.most_common(10),
        "open_count": by_table[table],
        "requests": asked_actions(about_rows, web.now()),
        "busy": busy_actions(about_rows) if table else frozenset(),
        "busy_rows": busy_rows(about_rows),
        "address": lambda **changed: address(**given | changed),
        "older": before is not None,
        "next": address(**given, before=page.next_before) if page.next_before else "",
    }


def _setup_values(setup: Setup) -> dict[str, Any]:
    counts = Counter(check.level for check in setup.checks)
    worst = next((level for level in WORST_FIRST if counts[level]), Level.OK)
    headlines = {
        Level.FAILED: f"{counted(counts[Level.FAILED], 'check')} failed",
        Level.WARNING: f"All works, with {counted(counts[Level.WARNING], 'drawback')}",
        Level.OK: f"All {len(setup.checks)} checks are ok",
    }
    return {
        "setup": setup,
        "headline": headlines[worst],
        "tone": LEVELS[worst][1],
        "levels": LEVELS,
        "checks": sorted(setup.checks, key=lambda check: WORST_FIRST.index(check.level)),
    }


def _advice(detail: TableDetail) -> str:
    """The next step: of a failed table what its error advises, and how it is tried again."""
    failed = detail.last_run if detail.line.state is HealthState.FAILED else None
    return " ".join(text for text in ((failed and failed.advice) or "", detail.line.advice) if text)


def _certified_at(certificate: Certificate) -> datetime:
    return datetime.fromisoformat(certificate.ended_at)


def _commands(name: str, *, paused: bool, rejected: bool) -> list[str]:
    """Commands for this table, as they are typed in a terminal."""
    quoted = shlex.quote(name)
    lines = [
        f"pgsnow run --select {quoted}      # sync it now",
        f"pgsnow verify --select {quoted}   # compare it with the target",
        f"pgsnow {'resume' if paused else 'pause'} {quoted}",
    ]
    return [*lines, f"pgsnow errors list --table {quoted}"] if rejected else lines
