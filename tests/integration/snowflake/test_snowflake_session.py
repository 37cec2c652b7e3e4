"""A session over a network that fails: what is told, how soon it is given up, and that trying again is safe."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import PgsnowError, TargetQueryFailed, TargetUnavailable, WriteConflict
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import TargetName
from pgsnow.snowflake import session as patience
from pgsnow.snowflake.session import Session, connect
from pgsnow.testing.proxy import FaultProxy
from tests.integration.snowflake.units import OUTPUT, load_unit, rows_of, write_unit


@pytest.fixture
def proxy(emulator: EmbeddedSnowflake) -> Iterator[FaultProxy]:
    with FaultProxy(emulator.port) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(snowflake_settings: SnowflakeSettings, proxy: FaultProxy) -> SnowflakeSettings:
    return replace(snowflake_settings, port=proxy.port)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits, shorter."""
    for name in ("LOGIN_SECONDS", "LOGIN_RETRY_SECONDS", "ANSWER_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(patience, name, 1)


def test_a_result_has_rows_columns_and_a_query_id(session: Session) -> None:
    result = session.execute("SELECT 1 AS A, 'x' AS B")
    assert result.rows == [(1, "x")]
    assert result.column("a") == [1]
    assert result.column("c") == []
    assert result.query_id


def test_values_are_bound_not_pasted(session: Session) -> None:
    assert session.execute("SELECT ?, ?", [("TEXT", "it's"), ("TEXT", None)]).rows == [("it's", None)]


def test_a_refused_statement_tells_its_errno_and_the_session_goes_on(session: Session) -> None:
    with pytest.raises(TargetQueryFailed) as caught:
        session.execute("SELEC 1")
    assert caught.value.code == "1003"
    assert not caught.value.transient
    assert session.execute("SELECT 1").rows == [(1,)]


def test_closing_twice_and_closing_a_dead_session_is_fine(
    through_proxy: SnowflakeSettings, proxy: FaultProxy
) -> None:
    session = connect(through_proxy, query_tag="t")
    proxy.behave(refuse=True)
    proxy.reset()
    session.close()
    session.close()


@pytest.mark.usefixtures("impatient")
def test_a_host_that_takes_the_connection_and_says_nothing_is_given_up(
    snowflake_settings: SnowflakeSettings,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TargetUnavailable):
            connect(replace(snowflake_settings, port=silent.getsockname()[1]), query_tag="t")


@pytest.mark.usefixtures("impatient")
def test_an_outage_between_statements_is_given_up_and_a_new_session_works(
    through_proxy: SnowflakeSettings, proxy: FaultProxy
) -> None:
    with connect(through_proxy, query_tag="t") as session:
        proxy.behave(refuse=True)
        proxy.reset()
        with pytest.raises(TargetUnavailable):
            session.execute("SELECT 1")
    proxy.heal()
    with connect(through_proxy, query_tag="t") as session:
        assert session.execute("SELECT 1").rows == [(1,)]


def test_a_statement_that_runs_longer_than_retries_last_is_not_cancelled(
    monkeypatch: pytest.MonkeyPatch, through_proxy: SnowflakeSettings, proxy: FaultProxy
) -> None:
    """The connector's own network_timeout would cancel it."""
    monkeypatch.setattr(patience, "RETRY_SECONDS", 1)
    with connect(through_proxy, query_tag="t") as session:
        proxy.behave(latency=0.6)
        assert session.execute("SELECT 1").rows == [(1,)]


@pytest.mark.usefixtures("impatient")
def test_a_merge_whose_reply_was_lost_is_unavailable_and_the_unit_may_be_loaded_again(
    through_proxy: SnowflakeSettings,
    proxy: FaultProxy,
    session: Session,
    target: TargetName,
    tmp_path: Path,
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b")], fence=1)
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "old")], fence=0))
    proxy.behave(hold_replies=b"MERGE INTO")

    def cut() -> None:
        assert proxy.wait_until_holding()
        proxy.behave(refuse=True)
        proxy.reset()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with connect(through_proxy, query_tag="t") as cut_off, pytest.raises(TargetUnavailable) as caught:
        load_unit(cut_off, target, unit)
    cutter.join()
    assert caught.value.transient
    load_unit(session, target, unit)
    assert rows_of(session, target) == [(1, "a"), (2, "b")]


def test_two_sessions_that_merge_into_one_table_leave_every_row_once(
    snowflake_settings: SnowflakeSettings, session: Session, target: TargetName, tmp_path: Path
) -> None:
    rounds = 4
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(0, "0")], fence=1))
    failures: list[PgsnowError] = []

    def work(worker: int) -> None:
        with connect(snowflake_settings, query_tag=f"w{worker}") as own:
            for number in range(rounds):
                rows = [(key, f"{worker}") for key in range(20)]
                fence = 10 + number * 2 + worker
                unit = write_unit(tmp_path / str(worker), OUTPUT, rows, fence=fence)
                while True:
                    try:
                        load_unit(own, target, unit)
                        break
                    except WriteConflict:
                        own.execute("ROLLBACK")
                    except PgsnowError as error:
                        failures.append(error)
                        return

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert rows_of(session, target) == [(key, "1") for key in range(20)]


@pytest.mark.usefixtures("impatient")
def test_an_outage_is_raised_and_not_logged(
    through_proxy: SnowflakeSettings, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(through_proxy, query_tag="t") as session:
        proxy.behave(refuse=True)
        proxy.reset()
        with pytest.raises(TargetUnavailable):
            session.execute("SELECT 1")
    assert [r for r in caplog.records if r.name.startswith("snowflake") and r.levelno > logging.DEBUG] == []
