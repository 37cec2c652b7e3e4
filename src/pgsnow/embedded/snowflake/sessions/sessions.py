"""Sessions: logins, the journal of their statements, and the end of abandoned ones."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from typing import Any

import fakesnow.server
from fakesnow.expr import normalise_ident
from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.routes import LOGIN, QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.hooks.session_state import LOCK_SECONDS, SessionState, state_of
from pgsnow.embedded.snowflake.sessions.journal import Journal
from pgsnow.embedded.snowflake.sessions.results import NewestResults
from pgsnow.embedded.snowflake.statements.limits import is_known
from pgsnow.embedded.snowflake.statements.transactions import in_transaction

KNOWN_USER, ITS_PASSWORD = "PGSNOW", "pgsnow"
WRONG_PASSWORD = {"code": "390100", "message": "Incorrect username or password was specified."}
UNKNOWN_ROLE = {
    "code": "390189",
    "message": "Role specified in the connect string does not exist or not authorized.",
}
VALIDITY = {"validityInSeconds": 3_600, "masterValidityInSeconds": 14_400}


async def body_of(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def refuse_wrong_passwords() -> None:
    """Stock: accepts every login. Here the user `pgsnow` needs its password; all others are accepted."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def login(request: Request) -> JSONResponse:
            data = (await body_of(request))["data"]
            known = str(data.get("LOGIN_NAME", "")).upper() == KNOWN_USER
            if known and data.get("PASSWORD", ITS_PASSWORD) != ITS_PASSWORD:
                return JSONResponse({"data": {}, **WRONG_PASSWORD, "success": False})
            return await stock(request)

        return login

    replace_route(LOGIN, wrap)


def answer_logins_fully() -> None:
    """Stock: forgets user, role, warehouse and parameters of the login, and gives no master token and no
    session id, which newer clients require."""
    numbers = itertools.count(1)

    def wrap(stock: Endpoint) -> Endpoint:
        async def login(request: Request) -> JSONResponse:
            asked = (await body_of(request))["data"]
            answer = json.loads(bytes((await stock(request)).body))
            token = answer["data"]["token"]
            state = _remember_login(fakesnow.server.sessions[token], asked, request)
            state.number = next(numbers)
            answer["data"].update(VALIDITY, masterToken=token, sessionId=state.number)
            return JSONResponse({**answer, "code": None, "message": None})

        return login

    replace_route(LOGIN, wrap)


def _remember_login(session: Any, asked: dict[str, Any], request: Request) -> SessionState:
    state, parameters = state_of(session), asked.get("SESSION_PARAMETERS") or {}
    state.user = str(asked.get("LOGIN_NAME") or "").upper() or None
    role, warehouse = request.query_params.get("roleName"), request.query_params.get("warehouse")
    state.role = normalise_ident(role) if role else "PUBLIC"
    state.warehouse = normalise_ident(warehouse) if warehouse else None
    state.tag = str(parameters.get("QUERY_TAG") or "")
    state.lock_seconds = float(parameters.get("LOCK_TIMEOUT", LOCK_SECONDS))
    return state


def refuse_unknown_roles() -> None:
    """Stock: accepts any role. The real service refuses a login with one that does not exist."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def login(request: Request) -> JSONResponse:
            role = request.query_params.get("roleName")
            connection = fakesnow.server.shared_fs.duck_conn.cursor()
            if role and not is_known(connection.execute, "ROLE", normalise_ident(role)):
                return JSONResponse({"data": {}, **UNKNOWN_ROLE, "success": False})
            return await stock(request)

        return login

    replace_route(LOGIN, wrap)


def count_logins(journal: Journal) -> None:
    """Counts every login attempt, also rejected ones."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def login(request: Request) -> JSONResponse:
            journal.login()
            return await stock(request)

        return login

    replace_route(LOGIN, wrap)


def note_statements(journal: Journal) -> None:
    """Keeps each statement's text, session and query tag, and its error number when it failed."""

    def wrap(stock: Endpoint) -> Endpoint:
        async def query(request: Request) -> JSONResponse:
            body = await body_of(request)
            session = fakesnow.server.sessions.get(fakesnow.server.to_token(request))
            state = SessionState() if session is None else state_of(session)
            tag = (body.get("parameters") or {}).get("QUERY_TAG", state.tag)
            noted = journal.statement(body["sqlText"], str(state.number), str(tag))
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


def end_forgotten_transactions(idle_seconds: float) -> None:
    """Stock: the transaction of a killed client stays open and keeps its locks. Here it is rolled back after some
    time without a request."""
    heard: dict[str, float] = {}

    def wrap(stock: Endpoint) -> Endpoint:
        async def query(request: Request) -> JSONResponse:
            token = fakesnow.server.to_token(request)
            heard.pop(token, None)  # busy: it must not be rolled back
            try:
                return await stock(request)
            finally:
                heard[token] = time.monotonic()

        return query

    replace_route(QUERY, wrap)
    threading.Thread(target=_reap, args=(heard, idle_seconds), name="session-reaper", daemon=True).start()


def _reap(heard: dict[str, float], idle_seconds: float) -> None:
    while True:
        time.sleep(idle_seconds / 10)
        for token, at in list(heard.items()):
            session = fakesnow.server.sessions.get(token)
            if session is None:
                heard.pop(token, None)
            elif time.monotonic() - at > idle_seconds and in_transaction(session):
                session._duck_conn.rollback()
                state_of(session).lost = True
                heard.pop(token, None)


def forget_old_results() -> None:
    """Stock: keeps every result of every session in memory for as long as the server runs."""
    fakesnow.server.shared_fs.results_cache = NewestResults()
