"""What the shared options lead to: the table list, the settings, the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pgsnow.cli.options import Format
from pgsnow.model.errors import ConfigError, PgsnowError

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig
    from pgsnow.model.settings.settings import PostgresSettings, Settings
    from pgsnow.sync.engine import Engine
    from pgsnow.sync.runtime.events import Observer

T = TypeVar("T")

UNDEFINED_TABLE = "42P01"
CONFIG_PLACES = (Path("sync_config.yaml"), Path("backend/worker/sync_config.yaml"))


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command's shared options."""

    config_file: Path | None = None
    env_file: Path | None = None
    output: Format = Format.TABLE

    def path(self) -> Path:
        """The table list's file. Raises ConfigError naming every place looked at."""
        if self.config_file is not None:
            return self.config_file
        for place in CONFIG_PLACES:
            if place.is_file():
                return place
        looked = ", ".join(str(place) for place in CONFIG_PLACES)
        raise ConfigError(
            f"no table list found (looked for {looked})",
            advice="Name it with --config FILE or $PGSNOW_CONFIG.",
        )

    def load(self) -> tuple[SyncConfig, Settings]:
        """Raises ConfigError with every problem of the file and of the environment."""
        from pgsnow.config.load import load_config, load_settings

        config_file = self.path()
        return load_config(config_file), load_settings(env_file=self.env_file or _env_beside(config_file))

    def source(self, beside: Path) -> tuple[PostgresSettings, dict[str, str]]:
        """The source's settings and every variable, for commands that need neither Snowflake nor a table list yet;
        `.env` is looked for as if the table list were `beside`. Raises ConfigError."""
        from pgsnow.config.load import load_source

        env_file = self.env_file or _env_beside(beside)
        return load_source(env_file=env_file), self.variables(beside)

    def variables(self, config_file: Path) -> dict[str, str]:
        """Every variable of the environment and of the .env file beside `config_file`. Raises ConfigError."""
        from pgsnow.config.load import variables

        return variables(env_file=self.env_file or _env_beside(config_file))

    def config(self) -> SyncConfig:
        from pgsnow.config.load import load_config

        return load_config(self.path())

    def engine(self, observer: Observer | None = None) -> Engine:
        from pgsnow.sync.engine import Engine
        from pgsnow.sync.runtime.events import ignore

        config, settings = self.load()
        return Engine(config, settings, observer=observer or ignore)

    def ledger(self) -> tuple[SyncConfig, Ledger]:
        """The ledger alone, for commands that need neither the source nor Snowflake."""
        from pgsnow.ledger.ledger import Ledger

        config, settings = self.load()
        return config, Ledger(settings.ledger, config.ledger_schema)


def or_nothing(read: Callable[[], list[T]]) -> list[T]:
    """What the ledger tells; nothing if its tables are not there yet, for they come with the first run."""
    try:
        return read()
    except PgsnowError as error:
        if error.code == UNDEFINED_TABLE:
            return []
        raise


def _env_beside(config_file: Path) -> Path | None:
    """`.env` beside the table list; without one, load_settings looks in the working directory."""
    beside = config_file.parent / ".env"
    return beside if beside.is_file() else None
