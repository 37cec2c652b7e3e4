"""Opens what a command needs from its shared options: the table list, the settings, the engine, the
ledger."""

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
    """The shared options of one command."""

    config_file: Path | None = None
    env_file: Path | None = None
    output: Format = Format.TABLE

    def path(self) -> Path:
        """The table list's file. Raises ConfigError with the places that were searched."""
        if self.config_file is not None:
            return self.config_file
        for place in CONFIG_PLACES:
            if place.is_file():
                return place
        looked = ", ".join(str(place) for place in CONFIG_PLACES)
        raise ConfigError(
            f"no table list found (searched: {looked})",
            advice="Name it with --config FILE or $PGSNOW_CONFIG.",
        )

    def load(self) -> tuple[SyncConfig, Settings]:
        """The table list and the settings. Raises ConfigError with every problem of the file and of the
        environment."""
        from pgsnow.config.load import env_beside, load_config, load_settings

        config_file = self.path()
        return load_config(config_file), load_settings(env_file=self.env_file or env_beside(config_file))

    def source(self, beside: Path) -> tuple[PostgresSettings, dict[str, str]]:
        """Settings of the source, and every variable, for commands without Snowflake and without a table
        list. `.env` is read from the folder of the file `beside`. Raises ConfigError."""
        from pgsnow.config.load import env_beside, load_source

        env_file = self.env_file or env_beside(beside)
        return load_source(env_file=env_file), self.variables(beside)

    def variables(self, config_file: Path) -> dict[str, str]:
        """Every variable of the environment and of the .env file beside `config_file`. Raises ConfigError."""
        from pgsnow.config.load import env_beside, variables

        return variables(env_file=self.env_file or env_beside(config_file))

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
    """The result of `read`; [] if the ledger has no tables yet (the first run creates them)."""
    try:
        return read()
    except PgsnowError as error:
        if error.code == UNDEFINED_TABLE:
            return []
        raise
