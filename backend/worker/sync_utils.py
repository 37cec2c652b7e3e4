"""The backend's part of the sync: the path of its configuration, its settings, its own transforms.

Reading, loading, watermarks and retries are in the library (`pgsnow`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgsnow.config.load import load_config, load_settings, read_dotenv

if TYPE_CHECKING:
    from pgsnow.model.report import SyncReport
    from pgsnow.model.settings import Settings

BACKEND = Path(__file__).parent.parent
LOCAL_BROKER = "redis://127.0.0.1:6379/0"


def load_environment() -> None:
    """Add backend/.env to the environment; variables that are set already keep their values."""
    file = BACKEND / ".env"
    for name, value in read_dotenv(file).items() if file.is_file() else ():
        os.environ.setdefault(name, value)


def config_file() -> Path:
    """SYNC_CONFIG, or the sync_config.yaml beside this file."""
    return Path(os.environ.get("SYNC_CONFIG") or Path(__file__).with_name("sync_config.yaml"))


def broker_url() -> str:
    return os.environ.get("CELERY_BROKER_URL") or LOCAL_BROKER


def settings() -> Settings:
    """Both databases' settings. Raises ConfigError with everything that is missing or wrong."""
    load_environment()
    return load_settings()


def sync_now(tables: Sequence[str] | None = None) -> SyncReport:
    """Run one tick in this process, without Celery, for example to try a new table."""
    from pgsnow.sync.engine import Engine

    with Engine(load_config(config_file()), settings()) as engine:
        return engine.tick(tables)


# Transforms. A table names one in sync_config.yaml:   transform: worker.sync_utils:lower_email


def lower_email(row: dict[str, Any]) -> dict[str, Any]:
    """Write each address in lower case and without blanks, so that equal addresses compare as equal."""
    email = row["email"]
    return row if email is None else {**row, "email": email.strip().lower()}


def drop_internal(row: dict[str, Any]) -> dict[str, Any] | None:
    """Leave out the rows of the team's own test accounts."""
    return None if (row.get("email") or "").endswith("@example.com") else row
