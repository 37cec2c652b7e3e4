"""The servers of the system stress, which outlive its episodes: they can be stopped, killed and started again."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import boto3
import psycopg
from moto.server import ThreadedMotoServer
from psycopg import sql

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.server import EmbeddedServer
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.forked import _origin, run_forked

CONFIG = {
    "fsync": "off", "full_page_writes": "off", "max_prepared_transactions": "60", "max_connections": "200",
    "logical_decoding_work_mem": "64kB", "wal_writer_delay": "2s", "max_wal_size": "256MB", "min_wal_size": "32MB",
}  # fmt: skip
"""A crash of the server loses transactions with `synchronous_commit = off` alone: the machine goes on."""
T = TypeVar("T")


@dataclass
class Servers:
    """PostgreSQL, the emulator, a broker and an S3 store. All are started by one thread, which lives as long as they
    do: a server ends with the thread that has started it."""

    folder: Path
    postgres: EmbeddedPostgres
    emulator: EmbeddedSnowflake
    broker: EmbeddedBroker
    s3_url: str
    _launcher: ThreadPoolExecutor

    def restart(self, name: str, *, crash: bool, away: float) -> None:
        """Stop or kill it, and start it again after so many seconds."""
        self._launcher.submit(self._restart, self.named[name], crash, away).result()

    def _restart(self, server: EmbeddedServer, crash: bool, away: float) -> None:
        if crash:
            server.kill()
        else:
            server.stop()
        time.sleep(away)
        server.start()
        if server is self.emulator:
            self.emulator.read_buckets_at(self.s3_url)

    @property
    def named(self) -> dict[str, EmbeddedServer]:
        return {"postgres": self.postgres, "emulator": self.emulator, "broker": self.broker}

    def launch(self, start: Callable[[], T]) -> T:
        """Start a process from the thread that lives as long as the servers."""
        return self._launcher.submit(start).result()

    @contextmanager
    def database(self, keep_wal: str) -> Iterator[dict[str, str]]:
        """Settings that lead to an empty source, an empty target and an empty bucket. keep_wal: what the server keeps
        for a slot (`max_slot_wal_keep_size`)."""
        name = f"system_{secrets.token_hex(4)}"
        with self._admin() as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            admin.execute(
                sql.SQL("alter system set max_slot_wal_keep_size = {}").format(sql.Literal(keep_wal))
            )
            admin.execute("select pg_reload_conf()")
        self.emulator.create_database(name.upper())
        keys = {
            "S3_ACCESS_KEY": f"AKIA{secrets.token_hex(8).upper()}",
            "S3_SECRET": secrets.token_urlsafe(30),
        }
        bucket = f"system-{secrets.token_hex(6)}"
        boto3.client(
            "s3", endpoint_url=self.s3_url, region_name="us-east-1", aws_access_key_id=keys["S3_ACCESS_KEY"],
            aws_secret_access_key=keys["S3_SECRET"],
        ).create_bucket(Bucket=bucket)  # fmt: skip
        yield {
            "POSTGRES_DSN": self.postgres.dsn(name),
            **self.emulator.settings_env(database=name.upper()),
            "S3_BUCKET": bucket,
            "S3_REGION": "us-east-1",
            "S3_ENDPOINT_URL": self.s3_url,
            **keys,
        }
        self._drop(name)

    def _drop(self, name: str) -> None:
        with self._admin(name) as owner:
            for (gid,) in owner.execute(
                "select gid from pg_prepared_xacts where database = %s", [name]
            ).fetchall():
                owner.execute(sql.SQL("rollback prepared {}").format(sql.Literal(gid)))
        with self._admin() as admin:
            for (pid,) in admin.execute(
                "select active_pid from pg_replication_slots where active_pid is not null"
            ).fetchall():
                admin.execute("select pg_terminate_backend(%s, 5000)", [pid])
            admin.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active"
            )
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        with suppress(OSError):
            self.emulator.drop_database(name.upper())

    def _admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.postgres.dsn(database), autocommit=True)


@contextmanager
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="pgsnow-system-"))
    folder.chmod(0o711)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    with ThreadPoolExecutor(1) as launcher:
        found = Servers(
            folder, EmbeddedPostgres(folder / "postgres", config=CONFIG),
            EmbeddedSnowflake(folder / "snowflake", threads=1), EmbeddedBroker(log=folder / "broker.log"),
            "http://{}:{}".format(*store.get_host_and_port()), launcher,
        )  # fmt: skip
        try:
            for server in found.named.values():
                found.launch(server.start)
            found.emulator.read_buckets_at(found.s3_url)
            found.launch(_fork_from_here)
            yield found
        finally:
            for server in found.named.values():
                server.kill()
            store.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _fork_from_here() -> None:
    """The process that commands are forked from ends with the thread that has started it, too."""
    _origin.cache_clear()
    run_forked("pgsnow", ["--version"], env=dict(os.environ), cwd=Path.cwd()).wait()
