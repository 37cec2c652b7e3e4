"""What the connector imports besides itself if it is installed, and a command that syncs never uses.

snowflake-connector-python 4.8 looks for them in its module `options`, and does without what is missing: boto3 is for
AWS workload identity and for finding out where it runs, which we tell it not to; pandas for results as data frames. A
worker is its host's process, whose own connections may need them; so this is for commands alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from pgsnow.model.settings.settings import Settings
from pgsnow.model.settings.snowflake_auth import AuthMethod

OPTIONS = "snowflake.connector.options"
COMPANIONS = frozenset({"boto3", "botocore", "aioboto3", "aiobotocore", "pandas"})
MAY_NEED_THEM = frozenset({AuthMethod.WORKLOAD_IDENTITY, AuthMethod.CONNECTION_NAME})
"""A connection of connections.toml may be one of workload identity."""


@contextmanager
def without_companions(settings: Settings) -> Iterator[None]:
    """A connector that is imported in this block is imported without them; nothing else is. Not where it may need
    them, nor with a bucket: the connector keeps boto3 there to SNOWFLAKE_MIN_TLS_VERSION."""
    if settings.snowflake.credentials.method in MAY_NEED_THEM or settings.s3 is not None:
        yield
        return
    finder = _Finder()
    # Another list each time: other threads may be walking along the one that there is.
    sys.meta_path = [finder, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [other for other in sys.meta_path if other is not finder]


class _Finder(MetaPathFinder):
    """Finds no companion for the thread that is importing the connector's options; any other thread is not met."""

    def __init__(self) -> None:
        self._importing = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in COMPANIONS and getattr(self._importing, "options", False):
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)
        if fullname != OPTIONS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Options(spec.loader, self._importing)
        return spec


class _Options(Loader):
    """The loader of the connector's options, which marks its thread meanwhile."""

    def __init__(self, loader: Loader, importing: threading.local) -> None:
        self._loader = loader
        self._importing = importing

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._importing.options = True
        try:
            self._loader.exec_module(module)
        finally:
            self._importing.options = False
