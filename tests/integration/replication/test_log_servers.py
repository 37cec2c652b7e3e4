"""What a server, its settings or a pooler do to the session that reads the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.model.errors import LogSessionUnavailable, PublicationMissing, SlotLost, SourceUnavailable
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.connection import LogSource, slot_failed
from tests.integration.postgres.lab import Dsn, Lab, lab_in
from tests.integration.replication.slot_lab import SlotLab
from tests.pooler import Pooler
from tests.progress import wait_until

CONFIG = {**FAST_AND_FORGETFUL, "max_wal_senders": "1", "max_slot_wal_keep_size": "48MB"}


@pytest.fixture
def server(servers_dir: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(servers_dir / "log_server", config=CONFIG) as server:
        yield server


def test_a_server_of_its_own(server: EmbeddedPostgres) -> None:
    """If all places for sessions that read the log are taken, or the server restarts in the middle, the error says
    which, and the slot is read from where it was afterwards. A session that nobody uses does not hold up a server that
    shuts down for longer than its patience. A slot whose log the server has removed is lost."""
    with lab_in(server.dsn()) as lab:
        log = SlotLab(lab)
        lab.run("select pg_create_logical_replication_slot('second', 'pgoutput')")
        lab.run("insert into t values (1, 'a')")
        log.source = LogSource(lab.source, log.slot, "pub", patience=1)
        with log.session():
            log.source = LogSource(lab.source, "second", "pub", patience=1)
            with pytest.raises(LogSessionUnavailable) as raised:
                log.open()
            assert raised.value.code == "53300"
            assert len(log.changes(log.peek().read(log.end()))) == 1
        senders = "select count(*) from pg_stat_activity where backend_type = 'walsender'"
        wait_until(lambda: lab.one(senders) == 0, "the session is still there")
        session = log.open()
        server.stop()
        server.start()
        with pytest.raises(SourceUnavailable):
            session.read(1 << 62)
        session.close()
    with lab_in(server.dsn()) as lab:
        log = SlotLab(lab, make=False)
        log.read()
        assert log.copy == log.rows()
        lose(lab, log.slot)
        with pytest.raises(SlotLost):
            log.open()


def lose(lab: Lab, slot: str) -> None:
    """Write so much log that the server gives the slot up."""
    status = f"select wal_status from pg_replication_slots where slot_name = '{slot}'"

    def written() -> bool:
        for _ in range(4):
            lab.run(
                "select pg_switch_wal()",
                "insert into other values (1) on conflict (id) do update set v = 'x'",
            )
        lab.run("checkpoint")
        return bool(lab.one(status) == "lost")

    wait_until(written, "the slot is not lost")


def test_through_a_pooler(database: str, pooler: Pooler) -> None:
    """Where only a pooler can be reached, no session can be opened; the log is read with SQL functions there."""
    with lab_in(database) as lab:
        log = SlotLab(lab)
        lab.run("insert into t values (1, 'a')")
        through = Source(Dsn(pooler.dsn(database)))
        log.source = LogSource(through, log.slot, "pub")
        with pytest.raises(LogSessionUnavailable):
            log.open()
        log.conn.close()
        log.conn = through.connect()
        assert log.follow(log.peek()).complete
        assert log.copy == log.rows()
        log.close()


def test_a_publication_that_is_gone(lab: Lab) -> None:
    """A server that refuses to read for an unknown publication, although the slot is there, is told from one that does
    not know the slot. (Servers since 18 go on without a message, which is noticed by what the ledger knows of the
    publication.)"""
    log = SlotLab(lab)
    missing = psycopg.errors.UndefinedObject('publication "pub" does not exist')
    assert isinstance(slot_failed(log.conn, log.slot, missing), PublicationMissing)
    assert isinstance(slot_failed(log.conn, "unknown", missing), SlotLost)
    log.close()
