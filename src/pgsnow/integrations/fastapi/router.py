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

from pgsnow.integrations.config_source import ConfigSource, GivenConfig
from pgsnow.integrations.notify.watch import watch_for_stop
from pgsnow.integrations.per_process import OnePerProcess
from pgsnow.model.errors import ConfigError, MissingExtra, PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import public_advice, public_text
from pgsnow.operations.status.summary import ALARMS, status_of
from pgsnow.sync.runtime.log import log_unexpected, logger

try:
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse

    from pgsnow.integrations.fastapi.api.routes import api_routes
    from pgsnow.integrations.fastapi.metrics_route import metrics_routes
    from pgsnow.integrations.fastapi.pages import page_routes
    from pgsnow.integrations.fastapi.security import API_HEADERS
    from pgsnow.integrations.fastapi.table_pages import table_page_routes
    from pgsnow.integrations.fastapi.web import Web
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
    strict: bool = False,
    actions: bool = False,
) -> APIRouter:
    """The status page, a JSON API and metrics. They read only the ledger, neither the source tables nor Snowflake, and
    show no secret.

    GET {prefix}/        the page (see docs/status-page.md)
    GET {prefix}/api/v1/ the JSON API, described by the application's OpenAPI document
    GET {prefix}/metrics metrics for Prometheus
    GET {prefix}/status  200 with the document of `status_of`; 503 with `error` and `advice` if the ledger cannot be
                         read, 500 for an unexpected error. The status of a failed table is 200, too: the document's
                         `state` shows the failure.
    GET {prefix}/ready   200 if the ledger answers, else 503 or 500 with `error` and `advice`. With `?strict=true`
                         also 503 if the document's `state` is not `ok`, with the states of the tables concerned.

    config is read here. If it is wrong, everything answers 503 with the problems until the file is right;
    strict: raises ConfigError here. settings default to the environment and `.env` (as for Celery), read at the first
    request; those of Snowflake are not needed. ledger defaults to the one of the settings, which is closed with the
    application; a ledger that is passed stays open.

    dependencies are FastAPI's, by which the application protects the router with its own authentication. Without any,
    a warning is logged, and neither query ids nor contents of rejected rows are shown. actions: the page has buttons
    to run, pause, resume and resync tables and to replay or dismiss rejected rows, and the API takes the same; raises
    ValueError without dependencies.

    As long as the application runs, an alert is sent if no worker runs ticks (with `alerts:` in the configuration).
    """
    if actions and not dependencies:
        raise ValueError(
            "actions=True needs dependencies=[Depends(...)] that let only your operators in: the actions pause, resync"
            " and repair tables"
        )
    if not dependencies:
        logger().warning(
            "the status page is open to everyone who can reach it, and hides query ids and rejected rows: pass"
            " dependencies=[Depends(...)] to status_router",
            prefix=prefix,
        )
    source = ConfigSource(config, settings, strict=strict)
    ledgers = OnePerProcess(partial(_open_ledger, source))
    web = Web(source, lambda: ledger or ledgers.get(), bool(dependencies), actions)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        with watch_for_stop(web.config, web.ledger):
            yield
        ledgers.close()

    def answer(make: Callable[[], tuple[int, dict[str, Any]]]) -> JSONResponse:
        try:
            return _response(*make())
        except PgsnowError as error:
            return _response(503, _unknown(error))
        except Exception as error:
            log_unexpected(error, source.secrets())
            return _response(500, _unknown(error))

    router = APIRouter(prefix=prefix, tags=["sync"], dependencies=list(dependencies or ()), lifespan=lifespan)

    @router.head("/status", include_in_schema=False)
    @router.get("/status")
    def status() -> JSONResponse:
        return answer(lambda: (200, _status(web)))

    @router.head("/ready", include_in_schema=False)
    @router.get("/ready")
    def ready(strict: bool = False) -> JSONResponse:
        return answer(lambda: _ready(source.config(), ledger or ledgers.get(), strict=strict))

    for routes in (api_routes, page_routes, table_page_routes, metrics_routes):
        router.include_router(routes(web))
    return router


def _status(web: Web) -> dict[str, Any]:
    document = status_of(web.config(), web.ledger(), web.now())
    if not web.protected:
        document["runs"] = [run | {"query_ids": []} for run in document["runs"]]
    return document


def _open_ledger(source: ConfigSource) -> Ledger:
    from pgsnow.ledger.ledger import Ledger

    return Ledger(source.ledger_settings(), source.config().ledger_schema)


def _ready(config: SyncConfig, ledger: Ledger, *, strict: bool) -> tuple[int, dict[str, Any]]:
    """The answer's code and document."""
    if not strict:
        ledger.run_log.watermarks()
        return 200, {"ledger": "ok"}
    document = status_of(config, ledger, datetime.now(UTC))
    tables = {table["table"]: table["state"] for table in document["tables"] if table["state"] in ALARMS}
    return 503 if tables else 200, {"ledger": "ok", "state": document["state"], "tables": tables}


def _response(code: int, document: dict[str, Any]) -> JSONResponse:
    return JSONResponse(document, code, headers=dict(API_HEADERS))


def _unknown(error: Exception) -> dict[str, Any]:
    document: dict[str, Any] = {
        "state": "unknown",
        "error": public_text(error),
        "advice": public_advice(error),
    }
    return document | ({"problems": list(error.problems)} if isinstance(error, ConfigError) else {})
