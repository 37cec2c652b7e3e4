"""A web server with status routers of several ledgers, and the Chromium that looks at their pages."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping

import uvicorn
from fastapi import APIRouter, FastAPI
from playwright.sync_api import Browser, sync_playwright

from pgsnow.model.settings.settings import Settings
from tests.progress import wait_until
from tests.world import NO_SNOWFLAKE

CHROMIUM = shutil.which("chromium") or ""
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--in-process-gpu",
    "--renderer-process-limit=1",
]


def settings_at(dsn: str) -> Settings:
    """Settings with this source and ledger, and a Snowflake account that nothing must ask."""
    return Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE})


@contextlib.contextmanager
def served(routers: Mapping[str, APIRouter]) -> Iterator[str]:
    """The address of a server that has each router below its path (`/day` → `http://127.0.0.1:…/day/sync/`)."""
    app = FastAPI()
    for path, router in routers.items():
        app.include_router(router, prefix=path)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive(), "the web server starts")
        assert server.started
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()
