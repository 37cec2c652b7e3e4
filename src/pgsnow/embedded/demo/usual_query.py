"""The usual query of home-made replications, run beside the demo's sync to measure what it misses:
`SELECT … WHERE updated_at > last`, with the largest value of the column that was seen as the next `last`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import Connection, sql

from pgsnow.model.config.sync_config import TableConfig


@dataclass(frozen=True, slots=True)
class Missed:
    """Rows of one table that a copy made by the usual query has wrong.

    absent: it never read them. outdated: it has an older version. undeleted: the source no longer has them.
    """

    absent: int = 0
    outdated: int = 0
    undeleted: int = 0

    @property
    def rows(self) -> int:
        return self.absent + self.outdated + self.undeleted


@dataclass
class TableCopy:
    """A copy of one table as the usual query keeps it: of each row its key and a digest of its content."""

    table: TableConfig
    rows: dict[str, str] = field(default_factory=dict)
    last: Any = None

    def read(self, conn: Connection[Any]) -> None:
        """Read the rows whose watermark is above the largest one so far; all rows the first time."""
        condition: sql.Composable = sql.SQL("")
        if self.last is not None:
            condition = sql.SQL(" where t.{} > %(last)s").format(self._column)
        found = conn.execute(self._select(self._column) + condition, {"last": self.last}).fetchall()
        self.rows.update((key, digest) for key, digest, _ in found)
        seen = [mark for *_, mark in found]
        self.last = max(seen if self.last is None else [*seen, self.last], default=None)

    def missed(self, conn: Connection[Any]) -> Missed:
        """The differences to the source as it is now."""
        source = {key: digest for key, digest, _ in conn.execute(self._select(sql.SQL("null"))).fetchall()}
        return Missed(
            absent=len(source.keys() - self.rows.keys()),
            outdated=sum(self.rows.get(key, digest) != digest for key, digest in source.items()),
            undeleted=len(self.rows.keys() - source.keys()),
        )

    @property
    def _column(self) -> sql.Composable:
        return sql.Identifier(self.table.watermark_column or "")

    def _select(self, mark: sql.Composable) -> sql.Composed:
        key = sql.SQL(", ").join(map(sql.Identifier, self.table.pk or ()))
        name = sql.Identifier(*self.table.name.split("."))
        return sql.SQL("select row({})::text, md5(t::text), {} from {} t").format(key, mark, name)


class UsualQuery:
    """A thread that brings copies of the tables up to date at the interval of the sync. A failure is kept, and shown
    by `error`: it must not end the demo."""

    def __init__(self, dsn: str, tables: Sequence[TableConfig], interval: float) -> None:
        self._dsn = dsn
        self._interval = interval
        self._copies = [TableCopy(table) for table in tables]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="usual-query", daemon=True)
        self.error: psycopg.Error | None = None

    def start(self) -> None:
        """Read everything once, before the writers begin; then start the thread."""
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            for copy in self._copies:
                copy.read(conn)
        self._thread.start()

    def stop(self) -> None:
        """The thread has ended when this returns. Idempotent."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def missed(self) -> Mapping[str, Missed]:
        """By table, after a last read, which comes after the last commit: nothing more would be found by waiting."""
        self.stop()
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            for copy in self._copies:
                copy.read(conn)
            return {copy.table.name: copy.missed(conn) for copy in self._copies}

    def _repeat(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as conn:
                while not self._stop.wait(self._interval):
                    for copy in self._copies:
                        copy.read(conn)
        except psycopg.Error as error:
            self.error = error
