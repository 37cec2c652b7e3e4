"""The forms in which an application passes its configuration and settings."""

from __future__ import annotations

import os
from collections.abc import Callable

from pgsnow.config.load import load_config
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.redaction import secrets_in
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import Settings

GivenConfig = SyncConfig | str | os.PathLike[str] | Callable[[], SyncConfig]
"""The configuration itself, the path of a sync_config.yaml, or a function that returns the configuration."""


def resolve(config: GivenConfig) -> SyncConfig:
    """The configuration, read now. Raises ConfigError with every problem of the file."""
    if isinstance(config, SyncConfig):
        return config
    return config() if callable(config) else load_config(config)


def known_secrets(settings: Settings | None) -> tuple[Secret, ...]:
    """The secrets to mask in logs: those of the settings, or of the environment that settings are read from."""
    return secrets_in(os.environ) if settings is None else settings.secrets()
