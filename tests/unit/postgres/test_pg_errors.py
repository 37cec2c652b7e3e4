"""Driver errors become ours by sqlstate, completely, and without a secret."""

from __future__ import annotations

import psycopg
import psycopg.errors
import pytest

from pgsnow.model import errors
from pgsnow.postgres.copy.messages import ServerError
from pgsnow.postgres.errors import PostgresErrorClass, error_class_of, translated, translating

CODES = sorted(
    {
        kind.sqlstate
        for kind in vars(psycopg.errors).values()
        if isinstance(kind, type) and issubclass(kind, psycopg.Error) and isinstance(kind.sqlstate, str)
    }
)
TRANSIENT = ("08", "40", "53", "57", "58")
KNOWN = {
    "25P03": PostgresErrorClass.UNAVAILABLE,
    "25P04": PostgresErrorClass.UNAVAILABLE,
    "55006": PostgresErrorClass.UNAVAILABLE,
    "55P03": PostgresErrorClass.UNAVAILABLE,
    "3D000": PostgresErrorClass.NO_DATABASE,
    "3F000": PostgresErrorClass.NO_TABLE,
    "42P01": PostgresErrorClass.NO_TABLE,
    "42703": PostgresErrorClass.NO_COLUMN,
    "42501": PostgresErrorClass.DENIED,
}


def test_the_driver_knows_codes_of_every_group() -> None:
    assert len(CODES) > 200
    assert {code[:2] for code in CODES} >= {*TRANSIENT, "28", "3D", "3F", "42", "55"}


def test_every_code_of_the_driver_is_mapped_as_its_group_says() -> None:
    assert {code: error_class_of(code) for code in CODES} == {code: class_of_group(code) for code in CODES}


def class_of_group(code: str) -> PostgresErrorClass:
    if code in KNOWN:
        return KNOWN[code]
    if code.startswith(TRANSIENT):
        return PostgresErrorClass.UNAVAILABLE
    return PostgresErrorClass.DENIED if code.startswith("28") else PostgresErrorClass.REFUSED


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("57P01", errors.SourceUnavailable),
        ("28P01", errors.SourceAccessDenied),
        ("42501", errors.SourceAccessDenied),
        ("3D000", errors.SourceAccessDenied),
        ("42P01", errors.SourceTableMissing),
        ("42703", errors.ColumnMissing),
        ("22012", errors.SourceQueryFailed),
    ],
)
def test_each_class_has_its_error(code: str, kind: type) -> None:
    with pytest.raises(errors.PgsnowError) as caught, translating("public.t"):
        raise psycopg.errors.lookup(code)("what happened\nand more")
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert str(caught.value) == "public.t: what happened"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("08P01", "options"),
        ("25006", "READ ONLY"),
        ("25P03", "idle_in_transaction_session_timeout"),
        ("25P04", "transaction_timeout"),
        ("40001", "hot_standby_feedback"),
        ("53300", "max_connections"),
        ("57014", "pg_cancel_backend"),
        ("57P01", "pg_terminate_backend"),
        ("57P05", "idle_session_timeout"),
    ],
)
def test_a_session_that_ends_is_explained_by_its_code(code: str, remedy: str) -> None:
    """What helps differs by the code, and is never to look whether Postgres is up."""
    advice = translated(psycopg.errors.lookup(code)("it ended")).advice
    assert remedy in advice
    assert advice != errors.SourceUnavailable("").advice


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("no answer"),
        psycopg.InterfaceError("closed"),
        OSError("cut off"),
        ConnectionResetError(),
    ],
)
def test_without_a_code_a_lost_connection_is_unavailable(error: Exception) -> None:
    found = translated(error)
    assert isinstance(found, errors.SourceUnavailable)
    assert found.transient
    assert str(found)


def test_without_a_code_a_mistake_of_ours_is_not_retried() -> None:
    assert not translated(psycopg.ProgrammingError("bad placeholder")).transient


def test_what_the_server_says_while_rows_come_has_its_code_too() -> None:
    error = ServerError.of(b'SERROR\0VERROR\0C42P01\0Mrelation "t" does not exist\0\0')
    found = translated(error)
    assert isinstance(found, errors.SourceTableMissing)
    assert (str(found), found.code) == ('relation "t" does not exist', "42P01")


def test_errors_that_are_not_the_drivers_pass() -> None:
    with pytest.raises(KeyError), translating():
        raise KeyError("x")
