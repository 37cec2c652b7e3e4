"""Sessions: how they begin, and how forgotten ones end."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import duckdb
import fakesnow.server
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgsnow.embedded.snowflake.journal import Journal

IDLE_SECONDS = 300.0
"""After this time without a word the real service aborts a lost client's transaction too."""
VALIDITY = {"validityInSeconds": 3_600, "masterValidityInSeconds": 14_400}
LOGIN = "/session/v1/login-request"
QUERY = "/queries/v1/query-request"

Endpoint = Callable[[Request], Awaitable[JSONResponse]]


def replace_route(path: str, wrap: Callable[[Endpoint], Endpoint]) -> None:
    routes = fakesnow.server.app.router.routes
    for index, route in enumerate(routes):
        if isinstance(route, Route) and route.path == path:
            routes[index] = Route(path, wrap(route.endpoint), methods=list(route.methods or ()))


def answer_logins_fully(journal: Journal) -> None:
    """Stock: no master token and no session id in the answer, which newer clients require."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def login(request: Request) -> JSONResponse:
            answer = json.loads(bytes((await stock(request)).body))
            journal.login()
            data = answer["data"]
            data.update(VALIDITY, masterToken=data["token"], sessionId=len(fakesnow.server.sessions))
            return JSONResponse(answer | {"code": None, "message": None})

        return login

    replace_route(LOGIN, wrap)


def end_forgotten_sessions(idle_seconds: float = IDLE_SECONDS) -> None:
    """Stock: the transaction of a killed client stays open for ever, and with it what it wrote."""
    seen: dict[str, float] = {}
    stock = fakesnow.server.to_conn

    def to_conn(token: str) -> Any:
        seen[token] = time.monotonic()
        return stock(token)

    fakesnow.server.to_conn = to_conn
    threading.Thread(target=_reap, args=(seen, idle_seconds), name="session-reaper", daemon=True).start()


def _reap(seen: dict[str, float], idle_seconds: float) -> None:
    while True:
        time.sleep(min(idle_seconds, 30.0) / 2)
        for token, at in list(seen.items()):
            if time.monotonic() - at > idle_seconds:
                seen.pop(token, None)
                _end(fakesnow.server.sessions.pop(token, None))


def _end(session: Any) -> None:
    if session is not None:
        with contextlib.suppress(duckdb.Error):
            session._duck_conn.rollback()
        session.close()


def note_statements(journal: Journal) -> None:
    """Keeps each statement's text, and its error number when it failed."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def query(request: Request) -> JSONResponse:
            body = await request.body()
            if request.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            noted = journal.statement(json.loads(body)["sqlText"], request.headers.get("Authorization", ""))
            response = await stock(request)
            journal.finish(noted, _error_of(bytes(response.body)))
            return response

        return query

    replace_route(QUERY, wrap)


def _error_of(body: bytes) -> int | None:
    if b'"success":false' not in body[-1_000:]:
        return None
    code = json.loads(body).get("code")
    return int(code) if code else None
