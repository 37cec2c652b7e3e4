"""A small world for tests of whole runs: a source database, a configuration, an engine, and a look at both ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.verify.verify import Verdict, verify
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event, ignore
from tests import oracle
from tests.oracle.compare import Comparison, Difference
from tests.servers import own_database

NOTHING: Mapping[str, str] = MappingProxyType({})

USERS = """
create table users (
    id bigint primary key,
    name text,
    balance numeric(12,2),
    profile jsonb,
    updated_at timestamptz not null default now()
);
create index on users (updated_at);
"""
NO_SNOWFLAKE = {
    "SNOWFLAKE_ACCOUNT": "none",
    "SNOWFLAKE_USER": "nobody",
    "SNOWFLAKE_PASSWORD": "none",
    "SNOWFLAKE_WAREHOUSE": "none",
    "SNOWFLAKE_DATABASE": "none",
}
USERS_TABLE = {
    "source": "public.users",
    "target": "analytics.users",
    "pk": "id",
    "watermark_column": "updated_at",
}


class World:
    """One test's source, target and configuration. `table` changes the first table's settings."""

    def __init__(self, env: dict[str, str], emulator: EmbeddedSnowflake | None, folder: Path) -> None:
        self.env = env
        self._emulator = emulator
        self.folder = folder
        self.settings = Settings.from_env(env)
        self.tables: list[dict[str, Any]] = [dict(USERS_TABLE)]
        self.options: dict[str, Any] = {}
        self.source = psycopg.connect(env["POSTGRES_DSN"], autocommit=True)
        self._session: Session | None = None
        self._oracle: Any = None

    @property
    def emulator(self) -> EmbeddedSnowflake:
        """Its statement log and login count; a real account has none for us."""
        assert self._emulator is not None
        return self._emulator

    @property
    def config(self) -> SyncConfig:
        return parse_config(
            {**self.options, "tables": self.tables}, file="sync_config.yaml", env=dict(os.environ)
        )

    @contextmanager
    def engine(self, observer: Callable[[Event], None] = ignore) -> Iterator[Engine]:
        with Engine(self.config, self.settings, observer=observer) as engine:
            yield engine

    def through(self, more: dict[str, str]) -> None:
        """The settings get these variables too."""
        self.env |= more
        self.settings = Settings.from_env(self.env)

    def write_config(self) -> Path:
        """The configuration as a file (YAML reads JSON)."""
        import json

        path = self.folder / "sync_config.yaml"
        path.write_text(json.dumps({**self.options, "tables": self.tables}))
        return path

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it at the source."""
        cursor = self.source.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def snowflake(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it at the target, in this test's own session."""
        if self._session is None:
            self._session = connect(self.settings.snowflake, query_tag="test")
        return self._session.execute(statement).rows

    def verdicts(self) -> list[Verdict]:
        with self.engine() as engine:
            return verify(engine)

    def differences(
        self, *, expected: Mapping[str, str] = NOTHING, cells: Mapping[str, str] = NOTHING
    ) -> dict[str, list[Difference]]:
        """Where source and target differ, by table, told by the oracle, which shares no code with pgsnow.

        expected: a source → a SELECT of the rows that its target should hold, where they are not the source's own.
        cells: a column → the SQL expression of what the target should hold in it.
        """
        schema = self.options.get("ledger_schema", "public")
        with closing(oracle.postgres.connect(self.env["POSTGRES_DSN"])) as source:
            return {
                entry["source"]: oracle.compare.differences(
                    source,
                    self._target(),
                    Comparison(entry, expected.get(entry["source"]), cells, schema),
                )
                for entry in self.tables
                if entry.get("enabled", True)
            }

    def assert_equal(
        self, *, expected: Mapping[str, str] = NOTHING, cells: Mapping[str, str] = NOTHING
    ) -> None:
        """Source and target are the same, row by row and cell by cell. Arguments: those of `differences`."""
        for table, found in self.differences(expected=expected, cells=cells).items():
            assert found == [], f"{table}: {len(found)} differences, such as {found[:5]}"

    def _target(self) -> Any:
        """A connection of the oracle's own to Snowflake."""
        if self._oracle is None:
            self._oracle = oracle.snowflake.connect(self.env)
        return self._oracle

    def leftovers(self) -> list[str]:
        """Staging tables and staged files that are still there."""
        from pgsnow.model.table import TargetName
        from pgsnow.snowflake.load.cleanup import list_orphans
        from pgsnow.snowflake.stage.stage import Stages

        with connect(self.settings.snowflake, query_tag="test") as session:
            found: list[str] = []
            for table in self.config.tables:
                target = TargetName.parse(
                    table.target,
                    database=self.settings.snowflake.database,
                    schema=self.settings.snowflake.schema,
                )
                found.extend(list_orphans(session, target, Stages.of(self.settings).all))
            return found

    def close(self) -> None:
        self.source.close()
        if self._session is not None:
            self._session.close()
        if self._oracle is not None:
            self._oracle.close()


@pytest.fixture(scope="session")
def world_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with users and a ledger that nobody has used yet, to make others from."""
    with own_database(postgres) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(USERS.encode())
        settings = Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE})
        ledger = Ledger(settings.ledger, "public")
        ledger.migrate()
        ledger.close()
        yield dsn.rpartition("/")[2]


@pytest.fixture
def world(
    postgres: EmbeddedPostgres,
    world_template: str,
    snowflake_env: dict[str, str],
    emulator: EmbeddedSnowflake,
    tmp_path: Path,
) -> Iterator[World]:
    """Users (an empty table) and an unused ledger on one side, an empty database on the other."""
    with own_database(postgres, world_template) as dsn:
        world = World({"POSTGRES_DSN": dsn, **snowflake_env}, emulator, tmp_path)
        yield world
        world.close()
