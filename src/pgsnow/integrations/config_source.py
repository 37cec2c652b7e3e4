"""The ways in which an application may hand over its table list."""

from __future__ import annotations

import os
from collections.abc import Callable

from pgsnow.config.load import load_config
from pgsnow.model.config.sync_config import SyncConfig

GivenConfig = SyncConfig | str | os.PathLike[str] | Callable[[], SyncConfig]
"""The configuration itself, the path of a sync_config.yaml, or a function that returns the configuration."""


def resolve(config: GivenConfig) -> SyncConfig:
    """The configuration, read now. Raises ConfigError with every problem of the file."""
    if isinstance(config, SyncConfig):
        return config
    return config() if callable(config) else load_config(config)
