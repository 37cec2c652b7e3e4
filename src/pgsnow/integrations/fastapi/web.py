"""State that the routes of a status router share: configuration, ledger, and what may be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.routing import compile_path

from pgsnow.integrations.config_source import ConfigSource
from pgsnow.integrations.fastapi.guarded import LOCAL_PATH
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig


@dataclass(frozen=True, slots=True)
class Web:
    """One status router.

    protected: the application protects it by dependencies of its own, so that query ids and the contents of rejected
    rows are shown. actions: it takes actions, too.
    """

    source: ConfigSource
    open_ledger: Callable[[], Ledger]
    protected: bool
    actions: bool

    def config(self) -> SyncConfig:
        """Raises ConfigError, as long as the file has a problem."""
        return self.source.config()

    def ledger(self) -> Ledger:
        """The ledger of this process. Raises ConfigError if the settings are incomplete."""
        return self.open_ledger()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def root(self, request: Request) -> str:
        """The path under which a browser reaches the router, without a slash at the end: root_path, the path of a
        mounted application, every prefix. For requests to routes whose class is `guarded`."""
        outside, path = request.scope.get("root_path", "").rstrip("/"), request.scope["path"]
        full = path if path.startswith(f"{outside}/") else outside + path
        return quote(full.removesuffix(_local(request)))

    def base(self, request: Request) -> str:
        """The relative address of the router's root, with a slash at the end. It is right even behind a proxy that
        changes the path without saying so. For requests to routes whose class is `guarded`."""
        path = request.scope["path"]
        raw: bytes = (
            request.scope.get("raw_path") or path.encode()
        )  # an encoded slash ends no part of the address
        own = raw.count(b"/") - path.removesuffix(_local(request)).count("/")
        return "../" * (own - 1) or "./"


def _local(request: Request) -> str:
    """The path of the request below the root of the router."""
    path: str = getattr(request.scope.get("endpoint"), LOCAL_PATH, "")
    return compile_path(path)[1].format(**request.scope.get("path_params", {}))
