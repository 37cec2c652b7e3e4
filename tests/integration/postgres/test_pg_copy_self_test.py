"""The channel that reads COPY is chosen by a self-test on the real connection; what fails it is read through libpq."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.connection import Source
from pgsnow.postgres.copy import choose, self_test
from pgsnow.postgres.copy.choose import Channel
from pgsnow.postgres.copy.socket_channel import SocketChannel
from pgsnow.postgres.copy.tls_channel import TlsChannel
from tests.integration.postgres.lab import Dsn, Lab
from tests.integration.postgres.terminator import tls_before

pytestmark = pytest.mark.usefixtures("each_self_test_runs")
Receive = Callable[[Any, memoryview], int]


@pytest.fixture(params=["plain", "tls"])
def encryption(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dsn(lab: Lab, tmp_path: Path, encryption: str) -> Iterator[str]:
    if encryption == "plain":
        yield lab.dsn
        return
    with tls_before(int(str(conninfo_to_dict(lab.dsn)["port"])), tmp_path / "tls") as terminator:
        yield make_conninfo(lab.dsn, host="127.0.0.1", port=terminator.port, sslmode="require")


@pytest.fixture
def source(dsn: str) -> Iterator[Source]:
    source = Source(Dsn(dsn))
    yield source
    source.close()


def read(source: Source, query: str) -> tuple[str, list[Any]]:
    """The channel that serves, and the values of the query's first column."""
    with source.copy_connection() as connection:
        with connection.stream(query) as (batches, _cancel):
            values = [value for batch in batches for value in batch.column(0).to_pylist()]
        return str(connection.channel), values


def damage(monkeypatch: pytest.MonkeyPatch, receive: Callable[[Receive], Receive]) -> None:
    """Replaces the `receive` of both channels past libpq by one made of it."""
    for channel in (SocketChannel, TlsChannel):
        monkeypatch.setattr(channel, "receive", receive(channel.receive))


def test_past_libpq_where_the_self_test_passes(source: Source, encryption: str) -> None:
    served, values = read(source, "select 'row 2'")
    assert served == {"plain": Channel.SOCKET.value, "tls": Channel.TLS.value}[encryption]
    assert values == ["row 2"]


def test_through_libpq_where_the_setting_says_so(dsn: str) -> None:
    source = Source(Dsn(dsn, CopyMode.LIBPQ))
    assert read(source, "select g from generate_series(1, 3) g") == ("libpq: POSTGRES_COPY=libpq", [1, 2, 3])
    source.close()


def test_a_wrong_byte_in_the_self_test_leaves_reading_to_libpq(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(receive: Receive) -> Receive:
        def receive_wrongly(channel: Any, memory: memoryview) -> int:
            got = receive(channel, memory)
            memory[:got] = bytes(memory[:got]).replace(b"row 2", b"row 3")
            return got

        return receive_wrongly

    damage(monkeypatch, wrong)
    served, values = read(source, "select 'row 2' from generate_series(1, 1000)")
    assert served == "libpq: self-test failed: column sparse (string) differs"
    assert values == ["row 2"] * 1000


def test_missing_bytes_in_the_self_test_leave_reading_to_libpq(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(receive: Receive) -> Receive:
        return lambda channel, memory: max(receive(channel, memory) - 1, 0)

    damage(monkeypatch, short)
    monkeypatch.setattr(self_test, "SILENT_CALLS", 3)
    served, values = read(source, "select 'row 2'")
    assert served.startswith("libpq: self-test failed: ")
    assert values == ["row 2"]


def test_an_error_in_the_self_test_leaves_reading_to_libpq(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Receive) -> Receive:
        def raises(_channel: Any, _memory: memoryview) -> int:
            raise OSError("not a socket any more")

        return raises

    damage(monkeypatch, broken)
    assert read(source, "select 7") == ("libpq: self-test failed: OSError", [7])


def test_a_silent_channel_leaves_reading_to_libpq(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(monkeypatch, lambda _: lambda _channel, _memory: 0)
    monkeypatch.setattr(self_test, "SILENT_CALLS", 3)
    assert read(source, "select 7") == ("libpq: self-test failed: TimeoutError", [7])


def test_a_connection_lost_in_the_first_self_test_does_not_decide(
    source: Source, monkeypatch: pytest.MonkeyPatch, encryption: str
) -> None:
    lost: list[bool] = []

    def losing(receive: Receive) -> Receive:
        def receive_or_lose(channel: Any, memory: memoryview) -> int:
            if not lost:
                lost.append(True)
                raise OSError("lost")
            return receive(channel, memory)

        return receive_or_lose

    damage(monkeypatch, losing)
    assert "libpq: " not in read(source, "select 7")[0]


def test_all_connections_of_a_process_share_one_self_test(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[object] = []

    def counted(conn: Any, open_channel: Any) -> str | None:
        tested.append(conn)
        return self_test.difference(conn, open_channel)

    monkeypatch.setattr(choose, "difference", counted)
    with source.copy_connection(), source.copy_connection(), source.copy_connection():
        pass
    read(source, "select 7")
    assert len(tested) == 1


def test_without_the_tested_versions_rows_come_through_libpq(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "PSYCOPG_VERSION", "3.1")
    served, values = read(source, "select 'row 2'")
    assert served.startswith("libpq: psycopg 3.")
    assert values == ["row 2"]
