"""The overview, and the files that all pages load."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pgsnow.integrations.fastapi.charts.strip import run_strip
from pgsnow.integrations.fastapi.page import PageNotFound, content_of, page_of, page_router
from pgsnow.integrations.fastapi.rendering import MEDIA_TYPES, static_files
from pgsnow.integrations.fastapi.table_list import ListQuery, TableList, listed
from pgsnow.integrations.fastapi.web import Web
from pgsnow.integrations.fastapi.words import TONES, WORDS, shown_state
from pgsnow.operations.status.overview import Overview, overview_of
from pgsnow.operations.status.overview_table import with_strips

KEEP = "public, max-age=31536000, immutable"
"""Addresses of static files contain a hash of their content."""


def page_routes(web: Web) -> APIRouter:
    """The overview at the router's prefix, and the static files of all pages."""
    router = page_router(web)

    @router.get("/")
    def overview(
        request: Request,
        q: str = "",
        state: str = "",
        sort: str = "worst",
        turned: bool = False,
        page: int = 1,
    ) -> Response:
        found = overview_of(web.config(), web.ledger(), web.now())
        tables = listed(found.tables, ListQuery(q, state, sort, turned, page))
        tables = replace(tables, tables=tuple(with_strips(web.ledger(), tables.tables)))
        return page_of(web, request, "overview.html", **_overview_values(found, tables))

    @router.get("/static/{name}")
    def static(request: Request, name: str) -> Response:
        if (content := static_files().get(name)) is None:
            raise PageNotFound(f"There is no file {name}.")
        media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
        return content_of(request, content, media_type, {"Cache-Control": KEEP})

    return router


def _overview_values(overview: Overview, tables: TableList) -> dict[str, Any]:
    """Values of overview.html. Lags are given as the moment from which they count, so that the browser counts on."""

    def ago(seconds: float | None) -> datetime | None:
        return None if seconds is None else overview.now - timedelta(seconds=seconds)

    return {
        "overview": overview,
        "whole": WORDS[overview.word],
        "worst_lag_from": ago(overview.worst_lag_seconds),
        "lag_from": lambda table: ago(table.lag_seconds),
        "list": tables,
        "shown_state": shown_state,
        "tones": TONES,
        "run_strip": run_strip,
    }
