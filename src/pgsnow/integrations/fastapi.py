"""The sync's state over HTTP, for an application that is already there.

from pgsnow.integrations.fastapi import status_router
app.include_router(status_router("sync_config.yaml"))
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.given import GivenConfig, resolve
from pgsnow.integrations.status import status_of
from pgsnow.model.errors import MissingExtra, PgsnowError
from pgsnow.model.settings import Settings
from pgsnow.sync.setup import load_settings

try:
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse
except ImportError:
    raise MissingExtra("fastapi", "fastapi") from None

if TYPE_CHECKING:
    from pgsnow.ledger.store import Ledger
    from pgsnow.model.config import SyncConfig


def status_router(
    config: GivenConfig,
    *,
    settings: Settings | None = None,
    ledger: Ledger | None = None,
    prefix: str = "/sync",
    dependencies: Sequence[Any] | None = None,
) -> APIRouter:
    """A read-only router. It asks the ledger alone: neither the source tables nor Snowflake, and it holds no
    secret.

    GET {prefix}/status  200 with the document of `status_of`; 503 with `error` and `advice` when the ledger
                         cannot be read. A table that fails is a 200: the page works, its `state` says what
                         does not.
    GET {prefix}/ready   200 when the ledger answers, else 503.

    config is read here; raises ConfigError. settings default to the environment, read at the first request;
    ledger to the one they name, closed with the application (one that is given is left open). dependencies
    are FastAPI's, for an application that wants the page behind its own authentication.
    """
    sync_config = resolve(config)
    store = _Store(sync_config, settings, ledger)
    router = APIRouter(
        prefix=prefix, tags=["sync"], dependencies=list(dependencies or ()), lifespan=store.closed_at_shutdown
    )

    @router.get("/status")
    def status() -> JSONResponse:
        return _answer(lambda: status_of(sync_config, store.ledger(), datetime.now(UTC)))

    @router.get("/ready")
    def ready() -> JSONResponse:
        return _answer(lambda: _asked(store.ledger()))

    return router


def _asked(ledger: Ledger) -> dict[str, Any]:
    ledger.watermarks()
    return {"ledger": "ok"}


def _answer(make: Callable[[], dict[str, Any]]) -> JSONResponse:
    try:
        return JSONResponse(make(), headers={"Cache-Control": "no-store"})
    except PgsnowError as error:
        unknown = {"state": "unknown", "error": str(error), "advice": error.advice}
        return JSONResponse(unknown, status_code=503, headers={"Cache-Control": "no-store"})


class _Store:
    """The ledger, opened at the first request."""

    def __init__(self, config: SyncConfig, settings: Settings | None, ledger: Ledger | None) -> None:
        self._config = config
        self._settings = settings
        self._ledger = ledger
        self._ours = ledger is None
        self._lock = threading.Lock()

    def ledger(self) -> Ledger:
        with self._lock:
            if self._ledger is None:
                from pgsnow.ledger.postgres import PostgresLedger

                settings = self._settings or load_settings()
                self._ledger = PostgresLedger(settings.ledger, self._config.ledger_schema)
            return self._ledger

    @asynccontextmanager
    async def closed_at_shutdown(self, _app: Any) -> AsyncIterator[None]:
        yield
        if self._ours and self._ledger is not None:
            self._ledger.close()
            self._ledger = None
