"""An application that serves the status page alone, for `pgsnow serve`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from pgsnow.model.errors import MissingExtra
from pgsnow.model.settings.secret import Secret

try:
    from fastapi import Depends, FastAPI
    from starlette.responses import PlainTextResponse, RedirectResponse
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pgsnow.integrations.fastapi.router import status_router
    from pgsnow.integrations.fastapi.security import TokenRequired
except ImportError:
    raise MissingExtra("fastapi", "serve") from None

PREFIX = "/sync"


def application_of(
    table_list: Path, token: Secret | None, hosts: Collection[str], *, actions: bool
) -> FastAPI:
    """The application. token: asked for; None: everyone who can connect may read, but only with a Host header of
    `hosts`, so that no page of another site can read it through a name that leads here (DNS rebinding)."""
    application = FastAPI(title="pgsnow", docs_url=None, redoc_url=None)
    application.include_router(
        status_router(
            table_list,
            prefix=PREFIX,
            dependencies=[Depends(TokenRequired(token))] if token else None,
            actions=actions,
        )
    )

    @application.get("/", include_in_schema=False)
    def root() -> RedirectResponse:
        return RedirectResponse(f"{PREFIX}/")

    if token is None:
        application.add_middleware(OnlyHosts, hosts=hosts)
    return application


class OnlyHosts:
    """Answers 421 to requests whose Host header names another host."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_named(scope):
            await PlainTextResponse("This page is served on this machine alone.\n", 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_named(self, scope: Scope) -> bool:
        header = next((value for name, value in scope["headers"] if name == b"host"), b"")
        try:
            return urlsplit(f"//{header.decode('latin-1')}").hostname in self._hosts
        except ValueError:
            return False
