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
from pgsnow.operations.verify.verdict import Verdict
from pgsnow.operations.verify.verify import verify
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.destination import MemoryTable, MemoryWarehouse, memory_destination
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
CONNECTOR_NAMES = {"NUMBER": "FIXED", "FLOAT": "REAL", "VARCHAR": "TEXT"}
"""A family of Snowflake types → its name in the connector, where they differ."""
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
        self.target_reader: oracle.snowflake.Reader | None = None
        """The session's own, for a target in its emulator; without it the world makes a connection."""
        self._kept: Engine | None = None
        self._kept_is_used = False

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
        """An engine of the present configuration. Without an observer it is kept, and is used again until the
        configuration changes, as a worker does: a new one costs as much as a run. Two at a time are different ones.
        """
        if observer is not ignore or self._kept_is_used:
            with self.new_engine(observer) as engine:
                yield engine
            return
        engine = self._kept_engine()
        self._kept_is_used = True
        try:
            yield engine
        finally:
            self._kept_is_used = False

    def new_engine(self, observer: Callable[[Event], None] = ignore) -> Engine:
        """One that has no connections and no plans yet, as after a restart of the process. The caller closes it."""
        return Engine(self.config, self.settings, observer=observer)

    def _kept_engine(self) -> Engine:
        kept, config = self._kept, self.config
        if kept is None or kept.stopping or (kept.config, kept.settings) != (config, self.settings):
            self.close_engine()
            kept = self._kept = self.new_engine()
        return kept

    def ten_minutes_pass(self) -> None:
        """The kept engine no longer relies on what it has seen of its targets."""
        if self._kept is not None:
            self._kept._context.notes.clear()

    def close_engine(self) -> None:
        """Close the kept engine with its connections, as a process that ends."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

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
        self,
        *tables: str,
        expected: Mapping[str, str] = NOTHING,
        cells: Mapping[str, str] = NOTHING,
    ) -> dict[str, list[Difference]]:
        """Where source and target differ, by table, told by the oracle, which shares no code with pgsnow.

        tables: the sources to compare, all by default.
        expected: a source → a SELECT of the rows that its target should hold, where they are not the source's own.
        cells: a column → the SQL expression of what the target should hold in it.
        """
        schema = self.options.get("ledger_schema", "public")
        with closing(oracle.postgres.connect(self.env["POSTGRES_DSN"])) as source:
            return {
                entry["source"]: oracle.compare.differences(
                    source,
                    self._read_target,
                    Comparison(entry, expected.get(entry["source"]), cells, schema),
                )
                for entry in self.tables
                if entry.get("enabled", True) and entry["source"] in (tables or (entry["source"],))
            }

    def assert_equal(
        self, *, expected: Mapping[str, str] = NOTHING, cells: Mapping[str, str] = NOTHING
    ) -> None:
        """Source and target are the same, row by row and cell by cell. Arguments: those of `differences`."""
        for table, found in self.differences(expected=expected, cells=cells).items():
            assert found == [], f"{table}: {len(found)} differences, such as {found[:5]}"

    def _read_target(self, target: str) -> oracle.snowflake.TargetRows | None:
        """All rows of a target, through a connection of the oracle's own."""
        if self.target_reader is not None:
            return self.target_reader.read(self.env["SNOWFLAKE_DATABASE"], target)
        if self._oracle is None:
            self._oracle = oracle.snowflake.connect(self.env)
        return oracle.snowflake.read(self._oracle, target)

    def leftovers(self) -> list[str]:
        """Staging tables and staged files that are still there, and that no later run would remove."""
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
            waiting = {f"{batch}/" for (batch,) in self.sql("select batch from sync_loaded_files")}
            return [left for left in found if left not in waiting]

    def close(self) -> None:
        self.close_engine()
        self.source.close()
        if self._session is not None:
            self._session.close()
        if self._oracle is not None:
            self._oracle.close()


class MemoryWorld(World):
    """A world whose target is in memory. For tests that need neither SQL text nor a Snowflake."""

    def __init__(self, dsn: str, folder: Path) -> None:
        super().__init__({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE}, None, folder)
        self.warehouse = MemoryWarehouse()

    def new_engine(self, observer: Callable[[Event], None] = ignore) -> Engine:
        to_memory = memory_destination(self.warehouse)
        return Engine(self.config, self.settings, observer=observer, destination=to_memory)

    def target(self, name: str = "analytics.users") -> MemoryTable:
        """The target of this name: schema and table, unquoted. KeyError if it is not there."""
        return self.warehouse.tables[f"NONE.{name.upper()}"]

    def drop(self, name: str = "analytics.users") -> None:
        """Drop the target, as a person would."""
        self.warehouse.drop(f"NONE.{name.upper()}")

    def leftovers(self) -> list[str]:
        return self.warehouse.leftovers

    def _read_target(self, target: str) -> oracle.snowflake.TargetRows | None:
        table = self.warehouse.tables.get(f"NONE.{target.upper()}")
        if table is None:
            return None
        kinds = {name: kind.partition("(") for name, kind in table.columns.items()}
        return oracle.snowflake.TargetRows(
            {name: CONNECTOR_NAMES.get(family, family) for name, (family, _, _) in kinds.items()},
            {name: int(sizes.strip(")").partition(",")[2] or 0) for name, (_, _, sizes) in kinds.items()},
            [tuple(row[name] for name in table.columns) for row in table.rows],
        )


@contextmanager
def world_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with users and a ledger that nobody has used yet, to make others from."""
    with own_database(postgres) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(USERS.encode())
        settings = Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE})
        ledger = Ledger(settings.ledger, "public")
        ledger.migrate()
        ledger.close()
        yield dsn.rpartition("/")[2]


@pytest.fixture(scope="session")
def world_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    with world_database(postgres) as name:
        yield name


@pytest.fixture(scope="session")
def target_reader(emulator: EmbeddedSnowflake) -> Iterator[oracle.snowflake.Reader]:
    reader = oracle.snowflake.Reader(emulator.settings_env())
    yield reader
    reader.close()


@pytest.fixture
def world(
    postgres: EmbeddedPostgres,
    world_template: str,
    snowflake_env: dict[str, str],
    emulator: EmbeddedSnowflake,
    target_reader: oracle.snowflake.Reader,
    tmp_path: Path,
) -> Iterator[World]:
    """Users (an empty table) and an unused ledger on one side, an empty database on the other."""
    with own_database(postgres, world_template) as dsn:
        world = World({"POSTGRES_DSN": dsn, **snowflake_env}, emulator, tmp_path)
        world.target_reader = target_reader
        yield world
        world.close()


@pytest.fixture
def memory_world(postgres: EmbeddedPostgres, world_template: str, tmp_path: Path) -> Iterator[MemoryWorld]:
    """Users (an empty table) and an unused ledger on one side, an empty warehouse in memory on the other."""
    with own_database(postgres, world_template) as dsn:
        world = MemoryWorld(dsn, tmp_path)
        yield world
        world.close()
