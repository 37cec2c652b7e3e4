"""A server falls silent, and its connection stays open.

Group: connections
Danger: A machine that hangs, a frozen pooler or a firewall that drops packets closes no connection, so a worker would
wait for its answer for ever, and hold its tables meanwhile.
Answer: After a minute of silence pgsnow asks over another connection whether Postgres still works on the statement. A
statement that takes hours is waited for; if the server does not answer, or has answered already, the run ends with
SourceUnavailable and the next tick repeats it. The ledger is given up after 45 seconds, as its statements are short.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pgsnow.model.errors import LedgerUnavailable
from pgsnow.postgres import silence
from pgsnow.postgres.connection import PatientConnection
from pgsnow.testing.proxy import FaultProxy
from tests.faults.impatient import be_impatient
from tests.faults.matrix.loads import LOADS
from tests.faults.matrix.trial import Trial
from tests.progress import wait_until
from tests.world import MemoryWorld

CLAIM = b"Grants those tables"
STATEMENTS = {
    "horizon": (b"select to_json(statement_timestamp())", "merge"),
    "catalog": (b"with recursive tables as materialized", "merge"),
    "rows": (b"copy (select", "merge"),
    "log": (b"START_REPLICATION", "log"),
}


@pytest.fixture
def proxy(memory_world: MemoryWorld) -> Iterator[FaultProxy]:
    with FaultProxy(urlsplit(memory_world.env["POSTGRES_DSN"]).port or 0) as proxy:
        yield proxy


CASES = [("rows", "statement"), ("horizon", "server")]
FURTHER = [
    (what, dead) for what in STATEMENTS for dead in ("statement", "server") if (what, dead) not in CASES
]


@pytest.mark.parametrize(
    ("what", "dead"), [*CASES, *(pytest.param(*case, marks=pytest.mark.thorough) for case in FURTHER)]
)
def test_a_statement_without_an_answer_ends(
    memory_world: MemoryWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, what: str, dead: str
) -> None:
    """One that never arrives at a server that works, and one of a server that no longer answers anything. A table whose
    log cannot be read is read without it."""
    text, load = STATEMENTS[what]
    trial = Trial(memory_world, LOADS[load], proxy, None)
    trial.change()
    be_impatient(monkeypatch)
    proxy.behave(hold_request=text)
    wait = trial.tick_in_thread()
    assert proxy.wait_until_holding()
    if dead == "server":
        proxy.behave(blackhole=True)
    reports = wait()
    if isinstance(reports, LedgerUnavailable):
        assert dead == "server"
    elif isinstance(reports, list) and (what, dead) != ("log", "statement"):
        [report] = reports
        assert report.error_type in ("SourceUnavailable", "LedgerUnavailable"), report.error
        assert re.search("no answer for|timeout expired", str(report.error))
        assert report.advice
    proxy.heal()
    proxy.reset()
    monkeypatch.undo()
    trial.repaired()
    trial.close()


def test_a_ledger_that_does_not_answer_is_given_up(
    memory_world: MemoryWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statements are short: it is not asked whether it still works."""
    trial = Trial(memory_world, LOADS["merge"], proxy, None)
    trial.change()
    be_impatient(monkeypatch)
    proxy.behave(hold_request=CLAIM)
    wait = trial.tick_in_thread()
    assert proxy.wait_until_holding()
    proxy.behave(refuse=True)
    error = wait()
    assert isinstance(error, LedgerUnavailable)
    proxy.heal()
    trial.repaired()
    trial.close()


def test_a_long_statement_is_waited_for(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: the server is asked, says that it works on it, and its answer arrives."""
    be_impatient(monkeypatch)
    asked: list[Any] = []
    monkeypatch.setattr(PatientConnection, "patience", 0.05)

    def ask(conn: PatientConnection[Any]) -> None:
        asked.append(conn)
        silence.require_server(conn.pgconn)

    monkeypatch.setattr(PatientConnection, "on_silence", ask)
    with (
        closing(PatientConnection.connect(database, autocommit=True)) as conn,
        psycopg.connect(database) as other,
    ):
        other.execute("select pg_advisory_lock(1)")

        def release() -> None:
            wait_until(lambda: len(asked) > 2, "the server was asked three times")
            other.execute("select pg_advisory_unlock(1)")

        releasing = threading.Thread(target=release)
        releasing.start()
        conn.execute("select pg_advisory_lock(1)")
        releasing.join()
