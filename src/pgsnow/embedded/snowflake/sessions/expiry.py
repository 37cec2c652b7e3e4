"""Sessions that end before their client ends them, as after an hour, after a sleep of hours, or by an administrator."""

from __future__ import annotations

import secrets
from typing import Any

import fakesnow.server
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgsnow.embedded.snowflake.hooks.routes import QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.hooks.session_state import state_of

TOKEN, LOGIN, SESSION = "token", "login", "session"
"""Kinds of expiry: of the session's token, which a client renews without a login; also of the token to renew it with;
of the session itself, which is gone."""
RENEW = "/session/token-request"
EXPIRED = {
    TOKEN: ("390112", "Your session has expired. Please login again."),
    LOGIN: ("390114", "Authentication token has expired. The user must authenticate again."),
    SESSION: ("390111", "Session no longer exists. New login required to access the service."),
}


def expire(database: str, what: str) -> int:
    """Let the tokens of all sessions in this database expire, or the sessions; how many."""
    found = [each for each in list(fakesnow.server.sessions.values()) if each.database == database.upper()]
    for session in found:
        state_of(session).expired = what
    return len(found)


def answer_expired_sessions() -> None:
    """Stock: a session lasts for ever, and there is no request to renew its token."""
    replaced = set[str]()
    replace_route(QUERY, lambda stock: _refusing(stock, replaced))
    fakesnow.server.app.router.routes.append(Route(RENEW, _renewing(replaced), methods=["POST"]))


def _refusing(stock: Endpoint, replaced: set[str]) -> Endpoint:
    """replaced: tokens instead of which their sessions have new ones."""

    async def query(request: Request) -> JSONResponse:
        token = fakesnow.server.to_token(request)
        session: Any = fakesnow.server.sessions.get(token)
        expired = TOKEN if token in replaced else session and state_of(session).expired
        if not expired:
            return await stock(request)
        return _refusal(SESSION if expired == SESSION else TOKEN)

    return query


def _renewing(replaced: set[str]) -> Endpoint:
    async def renew(request: Request) -> JSONResponse:
        """A new token for a session whose old one has expired."""
        old = fakesnow.server.to_token(request)
        session: Any = fakesnow.server.sessions.get(old)
        if session is None or state_of(session).expired in (LOGIN, SESSION):
            return _refusal(LOGIN)
        token, state_of(session).expired = secrets.token_urlsafe(32), None
        fakesnow.server.sessions[token] = fakesnow.server.sessions.pop(old)
        replaced.add(old)
        renewed = {"sessionToken": token, "masterToken": token, "masterValidityInSeconds": 14_400}
        return JSONResponse({"data": renewed, "code": None, "message": None, "success": True})

    return renew


def _refusal(what: str) -> JSONResponse:
    code, message = EXPIRED[what]
    return JSONResponse({"data": {"errorMessage": ""}, "code": code, "message": message, "success": False})
