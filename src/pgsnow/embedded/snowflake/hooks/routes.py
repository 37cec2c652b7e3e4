"""Wraps routes of the stock server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import fakesnow.server
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

LOGIN = "/session/v1/login-request"
QUERY = "/queries/v1/query-request"
UPLOAD = "/fs_bucket/{path:path}"
ABORT = "/queries/v1/abort-request"

Endpoint = Callable[[Request], Awaitable[JSONResponse]]


def replace_route(path: str, wrap: Callable[[Endpoint], Endpoint]) -> None:
    routes = fakesnow.server.app.router.routes
    for index, route in enumerate(routes):
        if isinstance(route, Route) and route.path == path:
            routes[index] = Route(path, wrap(route.endpoint), methods=list(route.methods or ()))
