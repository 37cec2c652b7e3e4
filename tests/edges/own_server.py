"""A PostgreSQL server of a test's own, whose data directory can be copied and put back; a world that reads from it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.ledger.ledger import Ledger
from pgsnow.operations.status.summary import status_of
from pgsnow.sync.runtime.events import Event, ignore
from tests.world import USERS, MemoryWorld, World

CONFIG = {**FAST_AND_FORGETFUL, "wal_writer_delay": "10s", "max_prepared_transactions": "10"}
ITEMS = "create table items (id bigint primary key, name text)"
ITEMS_TABLE = {"source": "public.items", "target": "analytics.items", "pk": "id", "mode": "xmin"}


class OwnServer:
    """A server in `directory`, running."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = EmbeddedPostgres(directory / "source", config=CONFIG)
        self.server.start()

    def restart(self) -> None:
        self.server.stop()
        self.server.start()

    def crash(self) -> None:
        self.server.kill()
        self.server.start()

    def keep_copy(self) -> None:
        """A cold copy of the data directory."""
        self.server.stop()
        shutil.rmtree(self.directory / "copy", ignore_errors=True)
        subprocess.run(["cp", "-a", f"{self.data}", str(self.directory / "copy")], check=True)
        self.server.start()

    def put_copy_back(self, *, as_standby: bool = False) -> None:
        """The server runs on the copy, as it was. as_standby: in place of the server, a standby that had not received
        more, and is promoted."""
        self.server.stop()
        subprocess.run(["rm", "-rf", str(self.data)], check=True)
        subprocess.run(["cp", "-a", str(self.directory / "copy"), str(self.data)], check=True)
        if as_standby:
            subprocess.run(["cp", "-a", f"{self.data}/PG_VERSION", f"{self.data}/standby.signal"], check=True)
        self.server.start()
        if as_standby:
            self.sql("select pg_promote()")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it as superuser."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as admin:
            cursor = admin.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def data(self) -> Path:
        return self.server.data_dir.resolve()

    @contextmanager
    def database(self, name: str = "shop") -> Iterator[str]:
        """A new database with users and items; dropped at the end."""
        self.sql(f"create database {name}")
        with psycopg.connect(self.server.dsn(name), autocommit=True) as conn:
            conn.execute((USERS + ITEMS).encode())
        yield self.server.dsn(name)
        self.sql(f"drop database if exists {name} with (force)")


class OnOwnServer(World):
    """Users (by watermark) and items (by transaction id) on a server that may lose its history."""

    def begin(self, ledger: str | None) -> None:
        """Sync the first rows. ledger: DSN of another database for it; None: it is in the source's."""
        self.writer = self.env["POSTGRES_DSN"]
        here = Ledger(self.settings.ledger, "public")
        here.migrate()  # in any case: the oracle looks for rejected rows in the source
        here.close()
        if ledger is not None:
            self.through({"LEDGER_DSN": ledger})
        self.tables.append(dict(ITEMS_TABLE))
        self.write(1, 5)
        self.tick()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it at the source as superuser, by a connection that survives its restarts."""
        with psycopg.connect(self.writer, autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def write(self, first: int, count: int = 1) -> None:
        """Insert users and items, each in a transaction of its own."""
        with psycopg.connect(self.writer, autocommit=True) as conn:
            for id in range(first, first + count):
                conn.execute("insert into users (id, name) values (%s, 'user ' || %s)", [id, id])
                conn.execute("insert into items values (%s, 'item ' || %s)", [id, id])

    def update(self, *ids: int, name: str) -> None:
        some = ",".join(map(str, ids))
        self.sql(f"update users set name = '{name}', updated_at = now() where id in ({some})")
        self.sql(f"update items set name = '{name}' where id in ({some})")

    def tick(self) -> dict[str, Any]:
        """The reports by table; every run succeeds, unless a restored ledger has given it a fence that the target has
        already. That happens if the lost runs were within the same second; the next run succeeds."""
        return self.tick_with(ignore)

    def tick_with(self, observer: Callable[[Event], None]) -> dict[str, Any]:
        """The same, observed."""
        with self.engine(observer) as engine:
            report = engine.tick()
            if any(table.error_type == "LedgerOutdated" for table in report.tables):
                report = engine.tick()
        assert not report.failures, [table.error for table in report.failures]
        return {table.table: table for table in report.tables}

    def states(self) -> dict[str, Any]:
        """The state of each table, and why."""
        with self.engine() as engine:
            status = status_of(self.config, engine.ledger, datetime.now(UTC))
        return {table["table"]: (table["state"], table["why"]) for table in status["tables"]}


class Shop(OnOwnServer, MemoryWorld):
    """Its target is in memory."""


def lose_and_go_on(server: OwnServer, *shops: OnOwnServer, as_standby: bool = False) -> None:
    """In each shop, five changes are synced and then lost; the application goes on for longer than since the copy."""
    server.keep_copy()
    for shop in shops:
        shop.write(10, 3)
        shop.update(1, 2, name="lost")
        shop.tick()
    server.put_copy_back(as_standby=as_standby)
    for shop in shops:
        shop.write(20, 12)
