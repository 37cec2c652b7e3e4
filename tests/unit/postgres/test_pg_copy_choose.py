"""Reading past libpq is chosen only where everything is as it was when it was tested."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import pq

from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.copy import choose
from pgsnow.postgres.copy.choose import Channel, ChannelChoice, ChannelChoices, unexpected, untested_version


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, servers = socket.socketpair()
    with ours, servers:
        yield ours, servers


@pytest.fixture
def pgconn(ends: tuple[socket.socket, socket.socket]) -> Any:
    """An idle plain connection, as far as `unexpected` looks at it."""
    return SimpleNamespace(
        transaction_status=pq.TransactionStatus.IDLE, ssl_in_use=False, socket=ends[0].fileno()
    )


def test_with_the_tested_versions_on_an_idle_socket_nothing_is_unexpected(pgconn: Any) -> None:
    assert untested_version() is None
    assert unexpected(pgconn, encrypted=False) is None


@pytest.mark.parametrize("version", ["3.2.9", "3.4.0", "4.0", "3"])
def test_another_psycopg_is_read_through_libpq(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(psycopg, "__version__", version)
    assert untested_version() == f"psycopg {version} instead of 3.3"


@pytest.mark.parametrize("version", [170005, 190000])
def test_another_libpq_is_read_through_itself(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(pq, "version", lambda: version)
    assert "instead of 18" in (untested_version() or "")


def test_bytes_that_nobody_asked_for_are_unexpected(
    pgconn: Any, ends: tuple[socket.socket, socket.socket]
) -> None:
    ends[1].send(b"N")
    assert unexpected(pgconn, encrypted=False) == "the socket has unread bytes before anything was asked"


def test_a_connection_in_a_transaction_is_unexpected(pgconn: Any) -> None:
    pgconn.transaction_status = pq.TransactionStatus.INTRANS
    assert unexpected(pgconn, encrypted=False) == "the connection is not idle"


def test_gssapi_and_an_unknown_ssl_library_are_read_through_libpq(pgconn: Any) -> None:
    assert unexpected(pgconn, encrypted=True) == "the connection is encrypted by GSSAPI"
    pgconn.ssl_in_use = True
    assert unexpected(pgconn, encrypted=True) == "the OpenSSL that libpq uses was not found"


def test_an_ssl_object_of_another_library_is_left_alone(pgconn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "openssl_of", lambda _: SimpleNamespace(session=lambda _: None))
    pgconn.ssl_in_use = True
    reason = unexpected(pgconn, encrypted=True)
    assert reason == "the connection's SSL object is not one of libpq's OpenSSL"


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_off_switch_needs_no_self_test(encrypted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(choose, "difference")
    choice = ChannelChoices(CopyMode.LIBPQ).choose(SimpleNamespace(), encrypted=encrypted)  # type: ignore[arg-type]
    assert choice == ChannelChoice(Channel.LIBPQ, "POSTGRES_COPY=libpq")
    assert str(choice) == "libpq: POSTGRES_COPY=libpq"


def test_each_kind_of_connection_is_tested_once_and_logged_once(
    pgconn: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tested: list[object] = []
    monkeypatch.setattr(choose, "difference", lambda conn, _: tested.append(conn))
    monkeypatch.setattr(choose, "unexpected", lambda _, *, encrypted: "no TLS" if encrypted else None)
    caplog.set_level(logging.INFO, "pgsnow")
    conn: Any = SimpleNamespace(pgconn=pgconn)
    choices = ChannelChoices(CopyMode.AUTO)
    for _ in range(3):
        assert choices.choose(conn, encrypted=False) == ChannelChoice(Channel.SOCKET)
        assert choices.choose(conn, encrypted=True) == ChannelChoice(Channel.LIBPQ, "no TLS")
    assert tested == [conn]
    assert caplog.messages == [
        "COPY is read on plain connections by: socket",
        "COPY is read on encrypted connections by: libpq: no TLS",
    ]


def test_an_error_in_the_self_test_drops_the_connection_and_the_second_one_chooses_libpq(
    pgconn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise TimeoutError("the channel gives nothing")

    monkeypatch.setattr(choose, "difference", fails)
    conn: Any = SimpleNamespace(pgconn=pgconn)
    choices = ChannelChoices(CopyMode.AUTO)
    assert choices.choose(conn, encrypted=False) is None
    assert choices.choose(conn, encrypted=False) is None
    assert str(choices.choose(conn, encrypted=False)) == "libpq: self-test failed: TimeoutError"
