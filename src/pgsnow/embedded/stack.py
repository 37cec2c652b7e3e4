"""Postgres, the Snowflake emulator and optionally a broker, started and stopped together."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.env_file import write_env_file
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.process import port_in_use
from pgsnow.embedded.server import EmbeddedServer
from pgsnow.embedded.snowflake import DATABASE as SNOWFLAKE_DATABASE
from pgsnow.embedded.snowflake import EmbeddedSnowflake

DATABASE = "app"
POSTGRES_CONFIG = {"max_prepared_transactions": "50"}
ENV_FILE, PORTS_FILE = ".env", "ports.json"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a directory's servers used last. They are used again, so that its `.env` stays valid."""

    postgres: int | None = None
    snowflake: int | None = None

    @classmethod
    def remembered(cls, directory: Path) -> Ports:
        try:
            return cls(**json.loads((directory / PORTS_FILE).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def save(self, directory: Path) -> None:
        draft = directory / f"{PORTS_FILE}.new"
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(directory / PORTS_FILE)


class Stack:
    """The servers of one directory. Data survive `down` and kill -9 of any of them; the broker keeps nothing.

    Start it from a thread that lives as long as the servers: they end when it ends.
    If no port is given, the one used last is used again, or else a free one.
    """

    def __init__(
        self,
        dir: Path | str,
        pg_port: int | None = None,
        snowflake_port: int | None = None,
        broker: bool = False,
    ) -> None:
        self.dir = Path(dir).absolute()
        self._with_broker = broker
        self.snowflake = EmbeddedSnowflake(self.dir / "snowflake", snowflake_port)
        self.postgres = EmbeddedPostgres(self.dir / "postgres", pg_port, POSTGRES_CONFIG)
        self.broker = EmbeddedBroker(log=self.dir / "broker.log")
        self._running = False

    def up(self) -> Self:
        """Start all; returns when they answer and `.env` is written. Idempotent. Raises EmbeddedServerFailed,
        and then nothing runs."""
        if self._running:
            return self
        self.dir.mkdir(parents=True, exist_ok=True)
        self.stop_orphans()
        self._choose_ports()
        self._running = True
        try:
            for server in self._servers:
                server.launch()
            for server in self._servers:
                server.wait()
            self._make_databases()
        except BaseException:
            self.down()
            raise
        Ports(self.postgres.port, self.snowflake.port).save(self.dir)
        write_env_file(self.dir / ENV_FILE, self.env())
        return self

    def down(self) -> None:
        """Stop all of them. Idempotent."""
        for server in reversed(self._servers):
            server.stop()
        self._running = False

    def env(self) -> dict[str, str]:
        """Environment variables with the settings of these servers."""
        values = {"POSTGRES_DSN": self.postgres.dsn(DATABASE), **self.snowflake.settings_env()}
        return values | ({"CELERY_BROKER_URL": self.broker.url} if self._with_broker else {})

    def stop_orphans(self) -> None:
        """Stop servers that a killed owner of this directory left running."""
        for server in (self.snowflake, self.postgres):
            server.stop_orphan()

    def restart_ended(self) -> tuple[str, ...]:
        """Restart servers that have ended; returns their names."""
        ended = [server for server in self._servers if server.pid is None]
        for server in ended:
            server.start()
        return tuple(server.name for server in ended)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def _servers(self) -> tuple[EmbeddedServer, ...]:
        """The slowest first."""
        return (self.snowflake, *([self.broker] if self._with_broker else []), self.postgres)

    def _choose_ports(self) -> None:
        used = Ports.remembered(self.dir)
        _keep_port(self.snowflake, used.snowflake)
        _keep_port(self.postgres, used.postgres)

    def _make_databases(self) -> None:
        self.snowflake.create_database(SNOWFLAKE_DATABASE)
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _keep_port(server: EmbeddedServer, last: int | None) -> None:
    if last is None or server.port_is_given:
        return
    if port_in_use(last):
        sys.stderr.write(f"{server.name}: the previous port {last} is taken, another one is used\n")
    else:
        server.prefer_port(last)
