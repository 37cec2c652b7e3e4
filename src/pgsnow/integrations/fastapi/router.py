"""The sync's state over HTTP, for an application that is already there.

from pgsnow.integrations.fastapi.router import status_router
app.include_router(status_router("sync_config.yaml"))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pgsnow.config.load import load_settings
from pgsnow.integrations.config_source import GivenConfig, resolve
from pgsnow.integrations.per_process import OnePerProcess
from pgsnow.model.errors import MissingExtra, PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.status.summary import status_of

try:
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse
except ImportError:
    raise MissingExtra("fastapi", "fastapi") from None

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig


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
    ledgers = OnePerProcess(partial(_open_ledger, sync_config, settings))

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        yield
        ledgers.close()

    router = APIRouter(prefix=prefix, tags=["sync"], dependencies=list(dependencies or ()), lifespan=lifespan)

    @router.get("/status")
    def status() -> JSONResponse:
        return _answer(lambda: status_of(sync_config, ledger or ledgers.get(), datetime.now(UTC)))

    @router.get("/ready")
    def ready() -> JSONResponse:
        return _answer(lambda: _asked(ledger or ledgers.get()))

    return router


def _open_ledger(config: SyncConfig, settings: Settings | None) -> Ledger:
    from pgsnow.ledger.ledger import Ledger

    return Ledger((settings or load_settings()).ledger, config.ledger_schema)


def _asked(ledger: Ledger) -> dict[str, Any]:
    ledger.run_log.watermarks()
    return {"ledger": "ok"}


def _answer(make: Callable[[], dict[str, Any]]) -> JSONResponse:
    try:
        return JSONResponse(make(), headers={"Cache-Control": "no-store"})
    except PgsnowError as error:
        unknown = {"state": "unknown", "error": str(error), "advice": error.advice}
        return JSONResponse(unknown, status_code=503, headers={"Cache-Control": "no-store"})
