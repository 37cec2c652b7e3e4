"""Statements that run for as long as a test wants: they begin when they are released, whether or not their client still
waits, and commit late."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import fakesnow.server
from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text
from pgsnow.embedded.snowflake.hooks.errors import refusal, snowflake_error
from pgsnow.embedded.snowflake.hooks.routes import ABORT, QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.sessions.sessions import body_of

CANCELLED = (604, "57014")
CANCEL_ALL = re.compile(
    r"\s*(?:select|call)\s+system\$cancel_all_queries\(\s*'?(\d+)'?\s*\)\s*;?\s*\Z", re.IGNORECASE
)


@dataclass(eq=False)
class _Held:
    """A statement that waits. request: its id. session: the number of its session."""

    request: str
    session: int
    free: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False


class LateStatements:
    """`wanted`: the next statement that contains this text is held. asked: requests that have come for the statement
    that was held last, more than one if its client has asked again. Used in the server's event loop only."""

    def __init__(self) -> None:
        self.wanted: str | None = None
        self.asked = 0
        self._held: list[_Held] = []

    def ask(self, request: str) -> None:
        """A request has come."""
        self.asked += any(held.request == request for held in self._held)

    async def wait(self, sql: str, request: str, session: int) -> bool:
        """Wait if the statement is wanted; False: it was cancelled."""
        if self.wanted is None or self.wanted.upper() not in sql.upper():
            return True
        held, self.wanted, self.asked = _Held(request, session), None, 1
        self._held.append(held)
        await held.free.wait()
        return not held.cancelled

    def release(self, *, session: int | None = None, request: str | None = None, cancel: bool = False) -> int:
        """Let statements begin, all of them or those of one session or request, or cancel them; how many."""
        freed = [
            held for held in self._held if session in (None, held.session) and request in (None, held.request)
        ]
        for held in freed:
            held.cancelled = cancel
            held.free.set()
            self._held.remove(held)
        return len(freed)


def run_late(late: LateStatements) -> None:
    """Stock: SYSTEM$CANCEL_ALL_QUERIES is not supported, and the request to abort a statement does nothing. Here, both
    cancel statements that are held; those that the engine already runs are completed. A logout ends neither."""
    rewrite_text(lambda _, command: CANCELLED_ANSWER if CANCEL_ALL.match(command) else None)
    replace_route(QUERY, lambda stock: _holding(stock, late))
    replace_route(ABORT, lambda _: _aborting(late))


CANCELLED_ANSWER = "SELECT 'query cancelled' AS \"SYSTEM$CANCEL_ALL_QUERIES\""


def _holding(stock: Endpoint, late: LateStatements) -> Endpoint:
    async def query(request: Request) -> JSONResponse:
        sql, token = str((await body_of(request))["sqlText"]), fakesnow.server.to_token(request)
        if cancel := CANCEL_ALL.match(sql):
            late.release(session=int(cancel[1]), cancel=True)
        connection: Any = fakesnow.server.sessions.get(token)
        if connection is None:
            return await stock(request)
        asked = str(request.query_params.get("requestId"))
        if not await late.wait(sql, asked, state_of(connection).number):
            return refusal(snowflake_error(CANCELLED, "SQL execution canceled"))
        known = token in fakesnow.server.sessions
        fakesnow.server.sessions[token] = connection
        try:
            return await stock(request)
        finally:
            if not known:
                fakesnow.server.sessions.pop(token, None)

    return query


def _aborting(late: LateStatements) -> Endpoint:
    async def abort(request: Request) -> JSONResponse:
        late.release(request=str((await body_of(request))["requestId"]), cancel=True)
        return JSONResponse({"success": True})

    return abort
