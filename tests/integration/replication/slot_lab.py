"""A slot and a publication in a test's database, sessions that read them, and the tables that their changes make."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import unpack_from
from typing import Any

from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.replication.connection import LogSource
from pgsnow.postgres.replication.peek import LogPeek
from pgsnow.postgres.replication.reading import LogBudget, LogReading
from pgsnow.postgres.replication.session import LogSession, open_session
from tests.integration.postgres.lab import Lab

Row = tuple[str | None, ...]
SLOT = "log"


class SlotLab:
    """Tables t and other, of which t is published. What was read from the log is applied to `copy`, by key."""

    def __init__(self, lab: Lab, *, make: bool = True) -> None:
        self.lab = lab
        self.slot = f"log_{lab.admin.info.dbname}"
        if make:
            lab.run(
                "create table t (id int primary key, v text)",
                "create table other (id int primary key, v text)",
                "create publication pub for table t",
                f"select pg_create_logical_replication_slot('{self.slot}', 'pgoutput')",
            )
        self.folder = Path(tempfile.gettempdir())
        self.conn = lab.source.connect()
        self.copy: dict[str, Row] = {}
        self.source = LogSource(lab.source, self.slot, "pub")

    def end(self) -> int:
        return parse_lsn(self.lab.one("select pg_current_wal_insert_lsn()::text"))

    def peek(self) -> LogPeek:
        return LogPeek(self.source, self.conn, folder=self.folder, spool_limit=1 << 30, memory=200)

    def open(self, *, spool_limit: int = 1 << 30, **options: Any) -> LogSession:
        return open_session(self.source, self.conn, folder=self.folder, spool_limit=spool_limit, **options)

    @contextmanager
    def session(self, **options: Any) -> Iterator[LogSession]:
        session = self.open(**options)
        try:
            yield session
        finally:
            session.close()

    def follow(self, session: LogSession | LogPeek, budget: LogBudget | None = None) -> LogReading:
        """Read to the end of the log, apply the changes, and confirm. Says whether there was more to read."""
        reading = session.read(self.end(), budget or LogBudget())
        self.apply(reading)
        session.confirm(reading.end)
        reading.close()
        return reading

    def read(self) -> LogReading:
        with self.session() as session:
            return self.follow(session)

    def apply(self, reading: LogReading) -> None:
        for kind, old, new in self.changes(reading):
            if kind == "T":
                self.copy.clear()
            if old is not None and kind in "UD":
                del self.copy[str(old[0])]
            if new is not None:
                if kind == "U" and old is None:
                    assert str(new[0]) in self.copy
                if kind == "I":
                    assert str(new[0]) not in self.copy
                self.copy[str(new[0])] = new

    def changes(self, reading: LogReading, table: str = "t") -> list[tuple[str, Row | None, Row | None]]:
        """Kind, old key, new row of each change, in order."""
        oid = int(self.lab.one(f"select '{table}'::regclass::oid::int8"))
        found = []
        position = 0
        for block in reading.blocks(oid):
            assert block.relation.table == table
            assert len(block.lengths) == len(block.commits)
            assert sum(block.lengths) == len(block.data)
            assert list(block.commits) == sorted(block.commits)
            assert block.commits[0] >= position
            position, at = int(block.commits[-1]), 0
            for length in block.lengths.tolist():
                found.append(_change(bytes(block.data[at : at + length])))
                at += length
        assert position <= reading.end
        return found

    def rows(self) -> dict[str, Row]:
        """The table as it is."""
        rows = self.lab.admin.execute("select id::text, v from t").fetchall()
        return {row[0]: row for row in rows}

    def close(self) -> None:
        self.conn.close()
        self.lab.run(
            f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{self.slot}'"
        )


def _change(message: bytes) -> tuple[str, Row | None, Row | None]:
    kind, old, new = chr(message[0]), None, None
    if kind == "T":
        return kind, None, None
    at = 5
    while at < len(message):
        part = chr(message[at])
        row, at = _tuple(message, at + 1)
        if part == "N":
            new = row
        else:
            old = row
    return kind, old, new


def _tuple(message: bytes, at: int) -> tuple[Row, int]:
    (count,) = unpack_from(">H", message, at)
    at += 2
    values: list[str | None] = []
    for _ in range(count):
        kind = chr(message[at])
        at += 1
        if kind == "t":
            (size,) = unpack_from(">I", message, at)
            values.append(message[at + 4 : at + 4 + size].decode())
            at += 4 + size
        else:
            values.append(None)
    return tuple(values), at
