"""Keeps the Snowflake connector from importing optional packages that a sync never uses.

snowflake-connector-python 4.8 imports them in its module `options` and works without them: boto3 is for AWS
workload identity and for platform detection, which pgsnow switches off; pandas is for results as data frames.
A Celery worker is its host's process, whose own connections may need them; so this is used by commands alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
    """A connector that is imported in this block is imported without COMPANIONS; other imports are not
    affected. Does nothing where the connector may need them, nor with a bucket: the connector holds boto3 to
    SNOWFLAKE_MIN_TLS_VERSION."""
    if settings.snowflake.credentials.method in MAY_NEED_THEM or settings.s3 is not None:
        yield
        return
    finder = _Finder()
    # A new list: other threads may be iterating over the current one.
    sys.meta_path = [finder, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [other for other in sys.meta_path if other is not finder]


class _Finder(MetaPathFinder):
    """Import hook that hides COMPANIONS from the thread that imports the connector's options, and from no
    other."""

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


@dataclass(frozen=True)
class _Options(Loader):
    """Loader of the connector's options that marks its thread while it runs."""

    loader: Loader
    importing: threading.local

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.importing.options = True
        try:
            self.loader.exec_module(module)
        finally:
            self.importing.options = False
