"""GET {prefix}/metrics: the metrics, for Prometheus."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from pgsnow.integrations.fastapi.security import API_HEADERS
from pgsnow.integrations.fastapi.web import Web
from pgsnow.integrations.prometheus.collect import metrics_text, text_without_ledger
from pgsnow.integrations.prometheus.exposition import CONTENT_TYPE
from pgsnow.model.errors import ConfigError, PgsnowError
from pgsnow.sync.runtime.log import log_unexpected

DEADLINE_SECONDS = 5.0
"""Prometheus waits for 10 seconds by default."""


def metrics_routes(web: Web, *, deadline: float = DEADLINE_SECONDS) -> APIRouter:
    """The route of the metrics. It always answers 200: a ledger that cannot be read, or does not answer in time, is
    `pgsnow_ledger_up 0`.

    At most one reading is under way: a scrape that arrives meanwhile gets its result, so that a ledger that hangs is
    not asked more and more often.
    """
    router = APIRouter()
    reading: asyncio.Task[str] | None = None

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics in the text format of Prometheus, computed from the ledger now."""
        nonlocal reading
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = asyncio.create_task(run_in_threadpool(_text, web))
        try:
            text = await asyncio.wait_for(asyncio.shield(reading), deadline)
        except TimeoutError:
            text = text_without_ledger(config_valid=True)
        return Response(text, media_type=CONTENT_TYPE, headers=dict(API_HEADERS))

    return router


def _text(web: Web) -> str:
    """The metrics, whatever is wrong."""
    try:
        return metrics_text(web.config(), web.ledger(), web.now())
    except PgsnowError as error:
        return text_without_ledger(config_valid=not isinstance(error, ConfigError))
    except Exception as error:
        log_unexpected(error, web.source.secrets())
        return text_without_ledger(config_valid=True)
