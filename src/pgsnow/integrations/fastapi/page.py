"""Answers that are pages. A page is a route of a `page_router` that answers with `page_of`:

    router = page_router(web)

    @router.get("/tables/{name:path}")
    def table(request: Request, name: str) -> Response:
        return page_of(web, request, "table.html", table=table_detail(web.config(), web.ledger(), name, …))

Its template extends base.html and fills the block `main`, which the browser fetches again every five seconds and
replaces where it has changed. Addresses in templates are relative and begin with `{{ base }}`, so that they are right
under any prefix, also behind a proxy that changes it. An exception becomes a page that says what to do.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from pgsnow.integrations.fastapi.guarded import guarded
from pgsnow.integrations.fastapi.rendering import html_of, tag_of
from pgsnow.integrations.fastapi.security import PAGE_HEADERS
from pgsnow.integrations.fastapi.web import Web
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.sync.runtime.log import log_unexpected


class PageNotFound(Exception):
    """The configuration or the ledger has nothing of this name. The message is shown to the reader."""


class ActionRefused(Exception):
    """A form that is not taken. The message is shown to the reader."""


def page_router(web: Web) -> APIRouter:
    """A router for pages: with their headers, and pages for errors. It is not part of the API's document.

    404 for PageNotFound, 403 for ActionRefused, 422 for parameters in a wrong form, 503 while the configuration is
    wrong or the ledger cannot be read, 500 for an unexpected error.
    """

    def answer_error(request: Request, error: Exception) -> Response:
        code, texts = _problem(error)
        if code == 500:
            log_unexpected(error, web.source.secrets())
        return Response(html_of("problem.html", _common(web, request) | texts), code, media_type="text/html")

    return APIRouter(route_class=guarded(answer_error, PAGE_HEADERS), include_in_schema=False)


def page_of(web: Web, request: Request, template: str, **values: Any) -> Response:
    """The page of a template with these values: 200, or 304 if the browser already shows this content.

    Templates also get `base` (the way back to the overview, ending with a slash), `now`, `protected` (query ids and
    contents of rows may be shown) and `actions` (buttons that change something may be shown).
    """
    html = html_of(template, _common(web, request) | values)
    headers = {"ETag": tag_of(html)}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return content_of(request, html.encode(), "text/html", headers)


def content_of(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The content as an answer, compressed if the browser takes that: a refresh is then a few kilobytes."""
    headers = {**headers, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = gzip.compress(content, 5, mtime=0), "gzip"
    return Response(content, 200, headers, media_type)


def _common(web: Web, request: Request) -> dict[str, Any]:
    return {
        "base": web.base(request),
        "now": datetime.now(UTC),
        "protected": web.protected,
        "actions": web.actions,
    }


def _problem(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status code, and title, text, list and advice for the problem's page, without secrets."""
    if isinstance(error, PageNotFound):
        return 404, {"code": 404, "title": "Not found", "text": str(error), "problems": (), "advice": ""}
    if isinstance(error, ActionRefused):
        advice = "Open the page again and use its buttons."
        return 403, {"code": 403, "title": "Refused", "text": str(error), "problems": (), "advice": advice}
    if isinstance(error, RequestValidationError):
        problems = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        text = "The address has a parameter in a wrong form."
        return 422, {"code": 422, "title": "Not found", "text": text, "problems": problems, "advice": ""}
    texts: dict[str, Any] = {"text": public_text(error), "problems": (), "advice": public_advice(error)}
    if isinstance(error, ConfigError):
        texts |= {"text": "Nothing is synced until this is right:", "problems": error.problems}
        return 503, texts | {"code": 503, "title": "The configuration is wrong"}
    if isinstance(error, PgsnowError):
        return 503, texts | {"code": 503, "title": "The ledger cannot be read"}
    return 500, texts | {"code": 500, "title": "This page could not be made"}
