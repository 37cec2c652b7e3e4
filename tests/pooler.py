"""A connection pooler before a server: pgbouncer, by default in transaction mode, in which clients share sessions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.embedded.binaries import server_user
from pgsnow.embedded.child import Child
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.process import accepts, free_port
from tests.progress import wait_until

SESSIONS = 6
"""Server sessions of each pool, which is made for each pair of a database and a user."""
CONFIG = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {sessions}
max_client_conn = 500
query_wait_timeout = {wait}
"""
NOT_OURS = {
    *("application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"),
    *("transaction_isolation", "transaction_read_only", "transaction_deferrable"),
}
"""Settings that pgbouncer itself gives back to each client, and those that every transaction begins with."""


class Pooler:
    """pgbouncer, as a child of this process. `port`: where it listens. wait: seconds that a client waits for a server
    session."""

    def __init__(
        self, folder: Path, server: int, users: Sequence[str], sessions: int, mode: str, wait: int
    ) -> None:
        self.port = free_port()
        listed, config = folder / "users.txt", folder / "pgbouncer.ini"
        listed.write_text("".join(f'"{user}" ""\n' for user in users))
        config.write_text(
            CONFIG.format(
                server=server, port=self.port, users=listed, sessions=sessions, mode=mode, wait=wait
            )
        )
        self._child = Child([program() or "pgbouncer", str(config)], folder / "log", user=server_user())
        wait_until(lambda: accepts(self.port), lambda: (folder / "log").read_text())

    def dsn(self, direct: str, **more: Any) -> str:
        """The connection string that leads to the same database through the pooler."""
        return make_conninfo(**{**conninfo_to_dict(direct), "port": self.port, **more})

    @contextmanager
    def sessions(self, direct: str, **more: Any) -> Iterator[list[psycopg.Connection[Any]]]:
        """A client on each of the pool's server sessions, in a transaction. So it waits until all of them are free."""
        with ExitStack() as stack:
            clients = [
                stack.enter_context(psycopg.connect(self.dsn(direct, **more), prepare_threshold=None))
                for _ in range(SESSIONS)
            ]
            for client in clients:
                client.execute("select 1")
            yield clients

    def left_behind(self, direct: str, **more: Any) -> list[tuple[Any, ...]]:
        """What previous clients left in the server sessions: settings, locks, statements, cursors and tables."""
        query = """
            select 'setting', name, setting from pg_settings where source = 'session' and name <> all (%s)
            union all select 'lock', locktype, objid::text from pg_locks
            where pid = pg_backend_pid() and locktype = 'advisory'
            union all select 'statement', name, statement from pg_prepared_statements
            union all select 'cursor', name, statement from pg_cursors where is_holdable
            union all select 'table', relname, '' from pg_class where relpersistence = 't'
        """
        with self.sessions(direct, **more) as clients:
            return [row for client in clients for row in client.execute(query, [list(NOT_OURS)]).fetchall()]

    def stop(self) -> None:
        self._child.stop()


def program() -> str | None:
    """The path of pgbouncer; None: it is not installed."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")


@contextmanager
def pooler_before(
    server: EmbeddedPostgres,
    users: Sequence[str] = ("postgres",),
    sessions: int = SESSIONS,
    mode: str = "transaction",
    wait: int = 60,
) -> Iterator[Pooler]:
    """A pooler before this server, for these users, with at most so many server sessions in each pool."""
    folder = Path(tempfile.mkdtemp(prefix="pgsnow-pooler-"))
    folder.chmod(0o755)
    pooler = Pooler(folder, server.port, users, sessions, mode, wait)
    try:
        yield pooler
    finally:
        pooler.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pooler(postgres: EmbeddedPostgres) -> Iterator[Pooler]:
    """The pooler of this session, before its PostgreSQL. Skips the test where no pgbouncer is installed."""
    if program() is None:
        pytest.skip("pgbouncer is not installed")
    with pooler_before(postgres) as pooler:
        yield pooler
