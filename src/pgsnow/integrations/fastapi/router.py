"""Status of the sync over HTTP, as a router for an existing FastAPI application.

from pgsnow.integrations.fastapi import status_router
app.include_router(status_router("sync_config.yaml"))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pgsnow.config.load import load_settings
from pgsnow.integrations.config_source import GivenConfig, known_secrets, resolve
from pgsnow.integrations.per_process import OnePerProcess
from pgsnow.model.errors import MissingExtra, PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.operations.status.summary import status_of
from pgsnow.sync.runtime.log import log_unexpected

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
    """Read-only router. It reads only the ledger, neither the source tables nor Snowflake, and shows no secret.

    GET {prefix}/status  200 with the document of `status_of`; 503 with `error` and `advice` if the ledger cannot be
                         read, 500 for an unexpected error. The status of a failed table is 200, too: the document's
                         `state` shows the failure.
    GET {prefix}/ready   200 if the ledger answers, else 503 or 500 with `error` and `advice`.

    config is read here; raises ConfigError. settings default to the environment, read at the first request. ledger
    defaults to the one of the settings, which is closed with the application; a ledger that is passed stays open.
    dependencies are FastAPI's, for an application that protects the page by its own authentication.
    """
    sync_config = resolve(config)
    ledgers = OnePerProcess(partial(_open_ledger, sync_config, settings))

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        yield
        ledgers.close()

    def answer(make: Callable[[], dict[str, Any]]) -> JSONResponse:
        try:
            return _response(200, make())
        except PgsnowError as error:
            return _response(503, _unknown(error))
        except Exception as error:
            log_unexpected(error, known_secrets(settings))
            return _response(500, _unknown(error))

    router = APIRouter(prefix=prefix, tags=["sync"], dependencies=list(dependencies or ()), lifespan=lifespan)

    @router.get("/status")
    def status() -> JSONResponse:
        return answer(lambda: status_of(sync_config, ledger or ledgers.get(), datetime.now(UTC)))

    @router.get("/ready")
    def ready() -> JSONResponse:
        return answer(lambda: _ready(ledger or ledgers.get()))

    return router


def _open_ledger(config: SyncConfig, settings: Settings | None) -> Ledger:
    from pgsnow.ledger.ledger import Ledger

    return Ledger((settings or load_settings()).ledger, config.ledger_schema)


def _ready(ledger: Ledger) -> dict[str, Any]:
    ledger.run_log.watermarks()
    return {"ledger": "ok"}


def _response(code: int, document: dict[str, Any]) -> JSONResponse:
    return JSONResponse(document, code, headers={"Cache-Control": "no-store"})


def _unknown(error: Exception) -> dict[str, Any]:
    return {"state": "unknown", "error": public_text(error), "advice": public_advice(error)}
