"""Workers that share one ledger in Postgres, and the failures that may happen to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgsnow.ledger.ledger import LEASE_SECONDS, Ledger
from tests.progress import wait_until

SCHEMA = 'Sync "ledger"'


@dataclass(frozen=True)
class Dsn:
    """Settings, as far as the ledger needs them."""

    text: str

    def conninfo(self) -> str:
        return self.text


class PostgresCrew:
    def __init__(self, dsn: str, schema: str) -> None:
        self.dsn = dsn
        self.schema = schema
        self.workers: list[Ledger] = []

    def worker(self, lease_seconds: float = LEASE_SECONDS) -> Ledger:
        worker = Ledger(Dsn(self.dsn), self.schema, lease_seconds=lease_seconds)
        self.workers.append(worker)
        return worker

    def kill(self, worker: Ledger) -> None:
        """End the worker's session on the server."""
        pid = session_pid(worker)
        self.sql("select pg_terminate_backend(%s)", pid)
        wait_until(
            lambda: not self.sql("select from pg_stat_activity where pid = %s", pid), "the session has ended"
        )

    def expire(self, table: str) -> None:
        self._set(table, "lease_expires = clock_timestamp() - interval '1 s'")

    def age_success(self, table: str, seconds: float) -> None:
        self._set(table, f"last_success = clock_timestamp() - interval '{seconds} s'")

    def pause(self, table: str) -> None:
        self._set(table, "paused = true")

    def sql(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        """One statement in the ledger's schema, from a session of its own."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("set search_path to {}, public").format(sql.Identifier(self.schema)))
            cursor = connection.execute(text, params or None)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    def _set(self, table: str, change: str) -> None:
        self.sql(f"update sync_watermarks set {change} where source_table = %s", table)


def session_pid(worker: Ledger) -> int:
    """The server's process behind this worker."""
    return worker._session.run(lambda connection: connection.info.backend_pid)
