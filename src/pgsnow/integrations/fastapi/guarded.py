"""Route classes: every answer has the headers of its kind, and an error of a route becomes an answer with its advice.

Errors of the application's own dependencies (a missing login, a redirect to one) are left to the application.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

LOCAL_PATH = "_pgsnow_local_path"
"""Attribute of a route's function: its path below the prefix of the status router."""
AnswerError = Callable[[Request, Exception], Response]
"""Makes the answer to an error: a PgsnowError, a RequestValidationError, or an unexpected one."""

UNREADABLE_BODY = "There was an error parsing the body"
"""FastAPI's own answer, as an HTTPException, to a body whose bytes are no text."""


class RouteFailed(Exception):
    """A route's function raised `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def guarded(answer_error: AnswerError, headers: Mapping[str, str]) -> type[APIRoute]:
    """The `route_class` of an APIRouter whose answers have these headers, unless a route sets them itself. A GET that
    no schema describes answers HEAD, too: services that watch a page ask that way."""

    class GuardedRoute(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
            if options.get("include_in_schema") is False and "GET" in (options.get("methods") or ()):
                options["methods"] = {"GET", "HEAD"}
            super().__init__(path, _marking(endpoint, path), **options)

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_guarded(request: Request) -> Response:
                try:
                    response = await handle(request)
                except RouteFailed as failed:
                    response = await run_in_threadpool(answer_error, request, failed.error)
                except RequestValidationError as error:
                    response = await run_in_threadpool(answer_error, request, error)
                except HTTPException as error:
                    if error.detail != UNREADABLE_BODY:
                        raise  # of a dependency
                    wrong = RequestValidationError([{"loc": ("body",), "msg": "is not JSON in UTF-8"}])
                    response = await run_in_threadpool(answer_error, request, wrong)
                for name, value in headers.items():
                    response.headers.setdefault(name, value)
                return response

            return handle_guarded

    return GuardedRoute


def _marking(endpoint: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The function, with its errors as RouteFailed, so that they differ from those of dependencies."""
    if hasattr(endpoint, LOCAL_PATH):
        return endpoint  # older versions of FastAPI make each route a second time where a router is included

    @wraps(endpoint)
    async def marked(*args: Any, **kwargs: Any) -> Any:
        try:
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)
        except HTTPException:
            raise
        except Exception as error:
            raise RouteFailed(error) from error

    setattr(marked, LOCAL_PATH, path)
    return marked
