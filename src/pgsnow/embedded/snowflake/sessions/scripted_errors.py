"""Errors that a test tells the emulator to answer with, such as those of an account: quotas, suspended warehouses,
timeouts."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.errors import refusal, snowflake_error
from pgsnow.embedded.snowflake.hooks.routes import LOGIN, QUERY, UPLOAD, Endpoint, replace_route
from pgsnow.embedded.snowflake.sessions.sessions import body_of

ANY_LOGIN, ANY_UPLOAD = "LOGIN", "UPLOAD"
"""Stand for a login, and for the upload of a file to the storage of a stage, which are no statements. The errno of an
upload's error is the HTTP status."""


@dataclass(slots=True)
class ScriptedError:
    """containing: text of the statements that get the error, in any case; or ANY_LOGIN or ANY_UPLOAD. database: only
    statements that name it, because other tests use the same server. times: how many of them (None: all)."""

    containing: str
    errno: int
    sqlstate: str
    message: str
    database: str = ""
    times: int | None = None

    def takes(self, text: str) -> bool:
        """True if this statement gets the error, which then counts."""
        folded = text.upper()
        if self.times == 0 or self.containing.upper() not in folded or self.database.upper() not in folded:
            return False
        self.times = self.times if self.times is None else self.times - 1
        return True


class ScriptedErrors:
    """The present errors. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[ScriptedError] = []

    def set(self, described: list[dict[str, Any]]) -> None:
        """Replace all errors."""
        with self._lock:
            self._all = [ScriptedError(**each) for each in described]

    def of(self, text: str) -> ScriptedError | None:
        """The error of this statement, or None."""
        with self._lock:
            return next((each for each in self._all if each.takes(text)), None)


def answer_with(errors: ScriptedErrors) -> None:
    """Answers statements and logins that match with the error, without executing them."""

    def query(stock: Endpoint) -> Endpoint:
        async def answer(request: Request) -> JSONResponse:
            found = errors.of(str((await body_of(request))["sqlText"]))
            if found is None:
                return await stock(request)
            return refusal(snowflake_error((found.errno, found.sqlstate), found.message))

        return answer

    def login(stock: Endpoint) -> Endpoint:
        async def answer(request: Request) -> JSONResponse:
            found = errors.of(f"{ANY_LOGIN} {request.query_params.get('databaseName', '')}")
            if found is None:
                return await stock(request)
            return JSONResponse(
                {"data": {}, "code": str(found.errno), "message": found.message, "success": False}
            )

        return answer

    def upload(stock: Endpoint) -> Endpoint:
        async def answer(request: Request) -> JSONResponse:
            found = errors.of(f"{ANY_UPLOAD} {request.url.path}")
            if found is None:
                return await stock(request)
            return JSONResponse({"message": found.message}, found.errno)

        return answer

    replace_route(UPLOAD, upload)
    replace_route(QUERY, query)
    replace_route(LOGIN, login)
