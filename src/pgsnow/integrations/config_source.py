"""The forms in which an application passes its configuration and settings, and what happens if they are wrong.

A mistake in sync_config.yaml must not keep an application from starting: it has other work than the sync. So the file
is read when the sync is added to the application, problems are logged, and it is read again until it is right.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pgsnow.config.load import env_beside, load_config, load_ledger, load_settings, top_level, variables
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.redaction import secrets_in
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import PostgresSettings, Settings
from pgsnow.sync.runtime.log import logger

GivenConfig = SyncConfig | str | os.PathLike[str] | Callable[[], SyncConfig]
"""The configuration itself, the path of a sync_config.yaml, or a function that returns the configuration."""


class ConfigSource:
    """A configuration and the connection settings as an application gives them. Thread-safe.

    The configuration is read once; if it is wrong, again with each call, until it is right.
    """

    def __init__(self, given: GivenConfig, settings: Settings | None = None, *, strict: bool = False) -> None:
        """settings: if not given, read from the environment, then from `.env` beside the file of the configuration or
        in the working directory. Logs the problems of the configuration; strict: raises ConfigError instead."""
        self._given = given
        self._settings = settings
        self._path = Path(given) if isinstance(given, str | os.PathLike) else None
        self._config: SyncConfig | None = None
        self._lock = threading.Lock()
        try:
            self.config()
        except ConfigError as error:
            if strict:
                raise
            self.report(error)

    def config(self) -> SyncConfig:
        """The configuration. Raises ConfigError with every problem of the file, as long as it has any."""
        with self._lock:
            if self._config is None:
                self._config = self._read()
            return self._config

    @property
    def is_right(self) -> bool:
        """True once the configuration was read and is right."""
        return self._config is not None

    def option(self, name: str) -> Any:
        """An option of the top level. If the configuration is wrong elsewhere, its value there, else its default."""
        if self._config is not None:
            return getattr(self._config, name)
        return getattr(top_level(self._path), name)

    def settings(self) -> Settings:
        """The connection settings. Raises ConfigError with everything that is missing or wrong."""
        return self._settings or load_settings(env_file=env_beside(self._path))

    def ledger_settings(self) -> PostgresSettings:
        """The connection settings of the ledger alone: a process that only shows it needs no other. Raises ConfigError
        with everything that is missing or wrong about them."""
        return self._settings.ledger if self._settings else load_ledger(env_file=env_beside(self._path))

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets to mask in logs: those of the settings, or of the variables that settings are read from."""
        if self._settings is not None:
            return self._settings.secrets()
        try:
            return secrets_in(variables(env_file=env_beside(self._path)))
        except ConfigError:
            return secrets_in(os.environ)

    def report(self, error: ConfigError) -> None:
        """Log each problem in a line of its own."""
        for problem in error.problems:
            logger().error("the sync does not run until its configuration is right", problem=problem)

    def _read(self) -> SyncConfig:
        if isinstance(self._given, SyncConfig):
            return self._given
        return self._given() if callable(self._given) else load_config(self._given)
