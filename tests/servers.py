"""Real servers for every test that asks for them, started once a session, at the first use.

Each pytest-xdist worker has its own. Nothing here is started for tests that need no server.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.examples import register_profiles
from tests.self_tests import self_tests_remembered

if TYPE_CHECKING:
    from pgsnow.model.settings.settings import Settings

register_profiles()

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C; some tests press it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

POSTGRES_CONFIG = {
    **FAST_AND_FORGETFUL,
    "max_prepared_transactions": "50",
    "max_connections": "200",
    "track_activity_query_size": "16384",  # tests look at whole statements
}
NEEDS_EMULATOR = {"emulator", "snowflake_env", "settings", "s3_store"}


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    """The environment of whoever runs the tests must not lead them to another server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if (
                name.startswith(("SNOWFLAKE_", "POSTGRES_", "PG", "LEDGER_", "S3_", "AWS_"))
                and name != "PG_BIN"
            ):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that runs within a test sets up the log for its own process."""
    log = logging.getLogger("pgsnow")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A directory that another user may enter: as root, PostgreSQL runs as somebody else."""
    directory = Path(tempfile.mkdtemp(prefix="pgsnow-tests-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _launched_emulator(servers_dir: Path) -> Iterator[EmbeddedSnowflake]:
    """Launched, not awaited: it comes up while PostgreSQL does."""
    server = EmbeddedSnowflake(servers_dir / "snowflake", threads=1)
    server.launch()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def emulator(_launched_emulator: EmbeddedSnowflake) -> EmbeddedSnowflake:
    """The Snowflake emulator of this session."""
    _launched_emulator.wait()
    return _launched_emulator


@pytest.fixture(scope="session")
def postgres(servers_dir: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of this session."""
    if any(NEEDS_EMULATOR & set(getattr(item, "fixturenames", ())) for item in request.session.items):
        request.getfixturevalue("_launched_emulator")
    with (
        EmbeddedPostgres(servers_dir / "postgres", config=POSTGRES_CONFIG) as server,
        self_tests_remembered(),
    ):
        yield server
        if admin := _admins.pop(server.dsn(), None):
            admin.close()


@pytest.fixture(scope="session")
def s3_store(emulator: EmbeddedSnowflake) -> Iterator[str]:
    """Address of an S3 store of this session, in which the emulator looks for objects too."""
    from botocore.loaders import JSONFileLoader
    from moto.server import ThreadedMotoServer

    # Every client reads the descriptions of S3 again, a quarter of a second of CPU time.
    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    emulator.read_buckets_at(endpoint)
    yield endpoint
    server.stop()


@pytest.fixture
def s3_env(s3_store: str) -> dict[str, str]:
    """S3_* that lead to an empty bucket of this test's own, by keys."""
    return new_bucket(s3_store)


def new_bucket(store: str) -> dict[str, str]:
    """S3_* that lead to a new, empty bucket, by keys."""
    import boto3

    name = f"test-{secrets.token_hex(6)}"
    keys = {"S3_ACCESS_KEY": f"AKIA{secrets.token_hex(8).upper()}", "S3_SECRET": secrets.token_urlsafe(30)}
    client = boto3.client(
        "s3",
        endpoint_url=store,
        region_name="us-east-1",
        aws_access_key_id=keys["S3_ACCESS_KEY"],
        aws_secret_access_key=keys["S3_SECRET"],
    )
    client.create_bucket(Bucket=name)
    return {"S3_BUCKET": name, "S3_REGION": "us-east-1", "S3_ENDPOINT_URL": store, **keys}


@pytest.fixture(scope="session")
def broker(servers_dir: Path) -> Iterator[EmbeddedBroker]:
    """The broker of this session."""
    with EmbeddedBroker(log=servers_dir / "broker.log") as server:
        yield server


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """DSN of an empty database of this test's own, dropped afterwards with whoever is still connected."""
    with own_database(postgres) as dsn:
        yield dsn


@contextlib.contextmanager
def own_database(postgres: EmbeddedPostgres, template: str = "template1") -> Iterator[str]:
    """DSN of a new copy of `template` (a database's name, with nobody connected to it), dropped at the end.

    Prepared transactions that were forgotten are rolled back: a database with one cannot be dropped.
    """
    name = f"t_{secrets.token_hex(6)}"
    admin = _admin(postgres)
    strategy = " STRATEGY FILE_COPY" if admin.info.server_version >= 150_000 else ""  # as all did before
    make = sql.SQL(f"CREATE DATABASE {{}} TEMPLATE {{}}{strategy}")
    admin.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
    yield postgres.dsn(name)
    admin = _admin(postgres)
    prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
    if forgotten := admin.execute(prepared, [name]).fetchall():
        _roll_back_prepared(postgres.dsn(name), [gid for (gid,) in forgotten])
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _admin(postgres: EmbeddedPostgres) -> psycopg.Connection[Any]:
    """The session that makes and drops databases, which stays open: two a test were a third of what a database
    costs. There is a new one after the server ended it."""
    dsn = postgres.dsn()
    admin = _admins.get(dsn)
    if admin is not None:
        try:
            admin.execute("SELECT 1")
            return admin
        except psycopg.OperationalError:
            admin.close()
    admin = _admins[dsn] = psycopg.connect(dsn, autocommit=True)
    if admin.info.server_version >= 180_000:  # a third of the CPU time
        admin.execute("SET file_copy_method = clone")
    return admin


_admins: dict[str, psycopg.Connection[Any]] = {}
"""The open sessions of `_admin`, by DSN."""


def _roll_back_prepared(dsn: str, gids: Sequence[str]) -> None:
    """Only a session in their database may do that."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        for gid in gids:
            owner.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))


@pytest.fixture
def snowflake_env(emulator: EmbeddedSnowflake) -> Iterator[dict[str, str]]:
    """SNOWFLAKE_* that lead to an empty database (with a schema PUBLIC) of this test's own."""
    name = f"T_{secrets.token_hex(6).upper()}"
    emulator.create_database(name)
    yield emulator.settings_env(database=name)
    emulator.drop_database(name)


@pytest.fixture
def settings(database: str, snowflake_env: dict[str, str]) -> Settings:
    """Settings of a source and ledger in `database` and a target in `snowflake_env`."""
    from pgsnow.model.settings.settings import Settings

    return Settings.from_env({"POSTGRES_DSN": database, **snowflake_env})
