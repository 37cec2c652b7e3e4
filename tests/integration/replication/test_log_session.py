"""Reading the log in a bounded session, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from pgsnow.model.errors import (
    LogSpoolFull,
    SlotBusy,
    SlotLost,
    SourceAccessDenied,
    SourceUnavailable,
)
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.connection import LogSource
from pgsnow.postgres.replication.reading import LogBudget
from tests.integration.postgres.lab import Dsn, Lab
from tests.integration.replication.slot_lab import SlotLab


@pytest.fixture
def log(lab: Lab) -> Iterator[SlotLab]:
    log = SlotLab(lab)
    yield log
    log.close()


def test_changes_come_in_order_and_once(log: SlotLab) -> None:
    """Inserts, updates, key changes, deletes of several transactions are read in their order, with the time of the
    last commit; once confirmed, they are not sent again."""
    log.lab.run("insert into t values (1, 'a'), (2, 'b')", "update t set v = 'c' where id = 1")
    log.lab.run(
        "update t set id = 3 where id = 2", "delete from t where id = 1", "insert into other values (1)"
    )
    with log.session() as session:
        begin = session.position
        reading = session.read(log.end())
        assert [kind for kind, _, _ in log.changes(reading)] == ["I", "I", "U", "U", "D"]
        assert log.changes(reading)[3] == ("U", ("2", None), ("3", "b"))
        assert reading.begin == begin
        assert reading.complete
        assert len(reading.tables) == 1
        assert len(reading.committed) == 4
        assert reading.spilled == 0
        assert reading.newest_commit is not None
        log.apply(reading)
        session.confirm(reading.end)
    assert log.copy == log.rows() == {"3": ("3", "b")}
    again = log.read()
    assert again.begin == reading.end
    assert again.messages == 0
    assert again.tables == frozenset()


def test_confirmed_without_changes(log: SlotLab) -> None:
    """Changes of tables that are not published move the slot's position too, so that the server can remove its log; the
    position moves at least to where the log ended before the read."""
    log.read()
    for n in range(3):
        log.lab.run(f"insert into other select g, 'x' from generate_series({n * 1000}, {n * 1000 + 999}) g")
    noted = log.end()
    reading = log.read()
    assert reading.complete
    assert reading.end >= noted
    assert not reading.tables
    assert (
        log.lab.one(
            f"select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = '{log.slot}'"
        )
        >= noted
    )


def test_log_of_an_open_transaction(log: SlotLab) -> None:
    """The end of the log that is noted may lie behind what the server has on disk, as an open transaction has written
    there: the read does not wait for that transaction."""
    log.read()
    open_one = log.lab.session()
    open_one.execute("insert into t values (1, 'a')")
    reading = log.read()
    assert reading.complete
    assert not reading.tables
    open_one.commit()
    log.read()
    assert log.copy == log.rows() != {}


def test_truncate(log: SlotLab) -> None:
    """A TRUNCATE comes among the changes of each of its tables, in its place."""
    log.lab.run("insert into t values (1, 'a')", "alter publication pub add table other")
    log.lab.run("insert into other values (1, 'a')", "truncate t, other", "insert into t values (2, 'b')")
    with log.session() as session:
        reading = session.read(log.end())
        assert [kind for kind, _, _ in log.changes(reading)] == ["I", "T", "I"]
        assert [kind for kind, _, _ in log.changes(reading, "other")] == ["I", "T"]


def test_changed_definition(log: SlotLab) -> None:
    """Rows keep the definition that the table had when they were written; a column that is added begins another
    block."""
    log.lab.run(
        "insert into t values (1, 'a')", "alter table t add n int", "insert into t values (2, 'b', 3)"
    )
    with log.session() as session:
        reading = session.read(log.end())
        (oid,) = reading.tables
        names = [[column.name for column in block.relation.columns] for block in reading.blocks(oid)]
        assert names == [["id", "v"], ["id", "v", "n"]]
        assert [len(relation.columns) for relation in reading.relations(oid)] == [2, 3]
        assert [column.key for column in reading.relations(oid)[0].columns] == [True, False]


def test_after(log: SlotLab) -> None:
    """A table that already has the changes up to a position is given the later ones alone."""
    log.lab.run("insert into t values (1, 'a')")
    middle = log.end()
    log.lab.run("insert into t values (2, 'b')")
    with log.session() as session:
        reading = session.read(log.end())
        (oid,) = reading.tables
        (block,) = reading.blocks(oid, after=middle)
        assert len(block.lengths) == 1
        assert block.commits[0] > middle
        assert list(reading.blocks(oid, after=reading.end)) == []


def test_budget(log: SlotLab) -> None:
    """A read that reaches its limit of bytes ends at the end of a transaction; the next one continues there, in the
    session or in another."""
    for n in range(4):
        log.lab.run(f"insert into t select g, 'x' from generate_series({n * 100}, {n * 100 + 99}) g")
    noted = log.end()
    with log.session() as session:
        for number in range(2):
            reading = session.read(noted, LogBudget(size=1))
            assert not reading.complete
            assert len(log.changes(reading)) == 100
            assert len(reading.committed) == 1
            log.apply(reading)
            session.confirm(reading.end)
            assert len(log.copy) == 100 * (number + 1)
    log.read()
    assert log.copy == log.rows()


def test_budget_beside_an_open_transaction(log: SlotLab) -> None:
    """Pieces of a large transaction that is open do not use up the limit of the transactions that commit beside it."""
    log.lab.run(f"alter database {log.lab.admin.info.dbname} set logical_decoding_work_mem = '64kB'")
    large = log.lab.session()
    large.execute("insert into t select g, repeat('x', 100) from generate_series(1, 3000) g")
    for n in range(4):
        log.lab.run(f"insert into t values ({10_000 + n}, 'a'), ({20_000 + n}, 'a')")
    with log.session() as session:
        reading = log.follow(session, LogBudget(size=250))
        assert max(session.open_transactions.values()) > 300_000
    assert not reading.complete
    assert len(log.copy) == 4
    large.commit()
    log.read()
    assert log.copy == log.rows()


def test_a_killed_session(log: SlotLab) -> None:
    """If the server's process is ended in the middle, the read fails as for a source that does not answer, and the next
    session reads everything that was not confirmed. A session that ended after the read is confirmed nevertheless."""
    log.lab.run("insert into t values (1, 'a')")
    kill = f"select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = '{log.slot}'"
    with log.session() as session:
        log.lab.run(kill, "insert into t values (2, 'b')")
        with pytest.raises(SourceUnavailable):
            session.read(log.end())
    with log.session() as session:
        reading = session.read(log.end())
        log.lab.run(kill)
        log.apply(reading)
        session.confirm(reading.end)
    assert log.copy == log.rows()
    assert log.read().messages == 0


def test_who_else_reads_the_slot(log: SlotLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that another session reads is refused with the id of that session's process."""
    monkeypatch.setattr("pgsnow.postgres.replication.connection.BUSY_SECONDS", 0.0)
    with log.session() as session, pytest.raises(SlotBusy) as raised:
        assert session.position
        log.open()
    assert raised.value.pid


def test_lost_slots_and_publications(log: SlotLab, plain_role: str) -> None:
    """A slot that does not exist, is another plugin's, or whose publication is gone is reported as a gap, for which
    tables are read without the log; a role that may not read the log is told what to grant."""
    log.source = LogSource(log.lab.source, "missing", "pub")
    with pytest.raises(SlotLost, match="missing"):
        log.open()
    as_role = Source(Dsn(make_conninfo(log.lab.dsn, user=plain_role)))
    log.source = LogSource(as_role, log.slot, "pub")
    with pytest.raises(SourceAccessDenied) as raised:
        log.open()
    assert f'ALTER ROLE "{plain_role}" REPLICATION' in raised.value.advice


WRITERS = 2
KEYS = st.integers(0, 3)
STATEMENT = st.one_of(
    st.tuples(st.sampled_from(["put", "delete"]), KEYS, KEYS),
    st.tuples(st.just("move"), KEYS, KEYS),
    st.tuples(st.sampled_from(["savepoint", "undo", "release", "commit", "rollback", "prepare"]), KEYS, KEYS),
)
STEP = st.one_of(
    st.tuples(st.integers(0, WRITERS - 1), STATEMENT),
    st.tuples(
        st.just("read"),
        st.tuples(st.sampled_from(["go on", "begin", "peek"]), st.sampled_from([1, 1 << 20]), KEYS),
    ),
)


class Writer:
    """A session that writes keys of its own, with savepoints."""

    def __init__(self, conn: psycopg.Connection[Any], number: int) -> None:
        self.conn, self.first, self.savepoints = conn, 10 * number, 0
        self.prepared: str | None = None

    def step(self, what: str, key: int, other: int) -> None:
        run, a, b = self.conn.execute, self.first + key, self.first + other
        if self.prepared and what != "prepare":
            return
        if what == "put":
            run("insert into t values (%s, %s) on conflict (id) do update set v = t.v || 'x'", [a, str(b)])
        elif what == "delete":
            run("delete from t where id = %s", [a])
        elif what == "move":
            run("update t set id = %s where id = %s and not exists (select from t where id = %s)", [b, a, b])
        elif what == "savepoint":
            run("savepoint s")
            self.savepoints += 1
        elif what in ("undo", "release") and self.savepoints:
            run("rollback to savepoint s" if what == "undo" else "release savepoint s")
            self.savepoints -= what == "release"
        elif what in ("commit", "rollback"):
            self.end(commit=what == "commit")
        elif what == "prepare":
            self.prepare()

    def prepare(self) -> None:
        """Prepare the transaction; if one is prepared already, commit it."""
        if not self.prepared:
            self.conn.execute("select pg_current_xact_id()")
            self.prepared, self.savepoints = f"{self.conn.info.dbname}-{self.first}", 0
            self.conn.execute(f"prepare transaction '{self.prepared}'".encode())
            self.conn.commit()
        else:
            self.end(commit=True)

    def end(self, *, commit: bool) -> None:
        if self.prepared:
            self.conn.autocommit = True
            self.conn.execute(f"commit prepared '{self.prepared}'".encode())
            self.conn.autocommit, self.prepared = False, None
        self.savepoints = 0
        self.conn.commit() if commit else self.conn.rollback()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=40), streamed=st.booleans())
def test_any_transactions(log: SlotLab, steps: list[Any], streamed: bool) -> None:
    """After any transactions of several sessions, with savepoints, rollbacks, and prepared ones, streamed while they
    are open or sent when they are committed, read at any time in sessions that are kept or not and by SQL, with changes
    in memory or on disk, a copy that the changes were applied to is like the table."""
    value = "immediate" if streamed else "buffered"
    if log.lab.admin.info.server_version >= 160_000:
        log.lab.run(
            f"alter database {log.lab.admin.info.dbname} set debug_logical_replication_streaming = {value}"
        )
    writers = [Writer(log.lab.session(), number) for number in range(WRITERS)]
    session = log.open(memory=200 if streamed else 1 << 20)
    try:
        for who, (what, key, other) in steps:
            if who != "read":
                writers[who].step(what, key, other)
                continue
            log.follow(session, LogBudget(size=key))
            if what != "go on":
                session.close()
                if what == "peek":
                    log.follow(log.peek(), LogBudget(size=key))
                session = log.open(memory=200)
        for writer in writers:
            writer.end(commit=True)
            writer.conn.close()
        log.follow(session)
        assert log.copy == log.rows()
        assert not session.open_transactions
    finally:
        session.close()


def test_peek(log: SlotLab) -> None:
    """The log can be read with SQL functions too, in pages of whole transactions; what was confirmed is not read again,
    and the position moves although nothing came."""
    for n in range(3):
        log.lab.run(f"insert into t select g, 'x' from generate_series({n * 100}, {n * 100 + 99}) g")
    log.lab.run("update t set id = -id where id > 290", "delete from t where id < -295")
    peek = log.peek()
    first = log.follow(peek, LogBudget(size=10_000))
    assert not first.complete
    assert len(log.copy) == 100
    assert first.spilled > 0
    assert log.follow(peek).complete
    assert log.copy == log.rows()
    open_one = log.lab.session()
    open_one.execute("insert into t values (1000, 'a')")
    noted = log.end()
    nothing = log.follow(peek)
    assert nothing.complete
    assert nothing.messages == 0
    assert nothing.end >= noted
    assert log.peek().position >= noted
    open_one.rollback()


def test_spool_limit(log: SlotLab) -> None:
    """Changes beyond the limit of the disk end the read with an error that names the transaction, and leave the slot as
    it was."""
    log.lab.run("insert into t select g, repeat('x', 1000) from generate_series(1, 40000) g")
    with log.session(spool_limit=1 << 20) as session, pytest.raises(LogSpoolFull, match=r"transaction \d+"):
        session.read(log.end())
    reading = log.read()
    assert reading.spilled > 0
    assert log.copy == log.rows()
