"""Statements of one session that run at the same time, as the real service runs them."""

from __future__ import annotations

import asyncio
import copy
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import fakesnow.server
from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.routes import QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.sessions.sessions import body_of
from pgsnow.embedded.snowflake.statements.transactions import in_transaction

OF_THE_SESSION = re.compile(
    r"\s*(?:begin|start|commit|rollback|use|set|unset|alter\s+session"
    r"|(?:create|drop)\s+(?:or\s+replace\s+)?(?:transient\s+)?(?:temp|schema|database))",
    re.IGNORECASE,
)
"""Statements that change the session, and run in its own connection."""
_lane: ContextVar[Any] = ContextVar("lane", default=None)


@dataclass(eq=False)
class _Lanes:
    """Connections of one session. own: held while its own connection is in use. free: further connections."""

    own: asyncio.Lock = field(default_factory=asyncio.Lock)
    free: list[Any] = field(default_factory=list)


def run_side_by_side() -> None:
    """Stock: two statements of one session share a connection of DuckDB, and get each other's results. Here, a
    statement that comes while another one runs gets a connection of its own; in a transaction, and if it changes the
    session, it waits. Install before anything that keeps requests back."""
    known: WeakKeyDictionary[Any, _Lanes] = WeakKeyDictionary()
    stock_connection = fakesnow.server.to_conn
    fakesnow.server.to_conn = lambda token: _lane.get() or stock_connection(token)

    def wrap(stock: Endpoint) -> Endpoint:
        async def query(request: Request) -> JSONResponse:
            session: Any = fakesnow.server.sessions.get(fakesnow.server.to_token(request))
            if session is None:
                return await stock(request)
            lanes = known.setdefault(session, _Lanes())
            sql = str((await body_of(request))["sqlText"])
            if not lanes.own.locked() or OF_THE_SESSION.match(sql) or _is_bound(session):
                async with lanes.own:
                    return await stock(request)
            lane = lanes.free.pop() if lanes.free else _lane_of(session)
            _follow(lane, session)
            token = _lane.set(lane)
            try:
                return await stock(request)
            finally:
                _lane.reset(token)
                lanes.free.append(lane)

        return query

    replace_route(QUERY, wrap)


def _is_bound(session: Any) -> bool:
    """True if the session's statements must run in its own connection."""
    return bool(in_transaction(session) or not session._autocommit or session.table_stages._temporary)


def _lane_of(session: Any) -> Any:
    """Another connection of the session, with the same variables and state."""
    lane = copy.copy(session)
    lane._duck_conn = session._duck_conn.cursor()
    lane.table_stages = type(session.table_stages)(lane._duck_conn)
    lane.place = None
    return lane


def _follow(lane: Any, session: Any) -> None:
    """Use the session's database and schema."""
    place = (session.database, session._schema, session.database_set, session.schema_set)
    if lane.place == place:
        return
    lane.database, lane._schema, lane.database_set, lane.schema_set = lane.place = place
    if lane.database_set:
        schema = lane._schema if lane.schema_set else "main"
        lane._duck_conn.execute(f"SET schema='{lane.database}.{schema}'")
