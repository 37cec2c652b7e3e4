"""Every SQLSTATE becomes an error of the ledger with a retry rule, and with advice that fits its cause."""

from __future__ import annotations

import psycopg
import psycopg.errors
import pytest

from pgsnow.ledger.errors import ledger_error, rule_for, translating, unless_missing
from pgsnow.model.errors import LedgerAccessDenied, LedgerQueryFailed, LedgerUnavailable, PgsnowError

CODES = sorted(
    {
        kind.sqlstate
        for kind in vars(psycopg.errors).values()
        if isinstance(kind, type) and issubclass(kind, psycopg.Error) and isinstance(kind.sqlstate, str)
    }
)
RETRIED = ("08", "40", "53", "57", "58", "25P03", "25P04", "55006", "55P03")
DENIED = ("28", "25006", "3D000", "3F000", "42501", "42P01")


def error_of(code: str) -> PgsnowError:
    return ledger_error(psycopg.errors.lookup(code)("what happened\nand more"), "odd {schema}")


def test_every_code_of_the_driver_has_a_retry_rule_and_advice() -> None:
    for code in CODES:
        error = error_of(code)
        assert type(error) is rule_for(code).error, code
        assert isinstance(error, LedgerUnavailable) is error.transient is code.startswith(RETRIED), code
        assert isinstance(error, LedgerAccessDenied) is code.startswith(DENIED), code
        assert isinstance(error, LedgerUnavailable | LedgerAccessDenied | LedgerQueryFailed), code
        assert (str(error), error.code, error.exit_code) == ("ledger: what happened", code, 2)
        assert error.advice, code


@pytest.mark.parametrize(
    ("code", "kind", "transient", "advice"),
    [
        ("08006", LedgerUnavailable, True, "up and reachable"),  # connection lost
        ("23514", LedgerQueryFailed, False, "constraint"),
        ("25006", LedgerAccessDenied, False, "LEDGER_DSN at a primary"),
        ("28P01", LedgerAccessDenied, False, "user and password in LEDGER_DSN"),
        ("3D000", LedgerAccessDenied, False, "database's name in LEDGER_DSN"),
        ("3F000", LedgerAccessDenied, False, "creates the ledger's tables in schema odd {schema}"),
        ("40P01", LedgerUnavailable, True, "the tables in schema odd {schema}"),  # deadlock
        ("42501", LedgerAccessDenied, False, "USAGE on schema odd {schema}"),
        ("42703", LedgerQueryFailed, False, "the tables in schema odd {schema} with `pgsnow explain ledger`"),
        ("42P01", LedgerAccessDenied, False, "the next run creates it again"),
        ("53100", LedgerUnavailable, True, "Free space on the disk"),
        ("53300", LedgerUnavailable, True, "connections"),
        ("55P03", LedgerUnavailable, True, "keeps the tables in schema odd {schema} locked"),
        ("57014", LedgerUnavailable, True, "statement_timeout"),
        ("57P01", LedgerUnavailable, True, "up and reachable"),  # shutdown
        ("XX001", LedgerQueryFailed, False, "log of the ledger's server"),  # data corrupted
    ],
)
def test_the_advice_fits_the_cause(code: str, kind: type, transient: bool, advice: str) -> None:
    error = error_of(code)
    assert (type(error), error.transient) == (kind, transient)
    assert advice in error.advice


@pytest.mark.parametrize("error", [psycopg.OperationalError("no answer"), psycopg.InterfaceError("closed")])
def test_without_a_code_a_lost_connection_is_tried_again(error: psycopg.Error) -> None:
    with pytest.raises(LedgerUnavailable) as caught, translating("public"):
        raise error
    assert caught.value.transient


def test_without_a_code_a_mistake_in_a_call_is_not_tried_again() -> None:
    assert not ledger_error(psycopg.ProgrammingError("bad placeholder"), "public").transient


@pytest.mark.parametrize("code", ["42P01", "42703"])
def test_before_the_first_run_a_reading_command_gets_its_default(code: str) -> None:
    def read() -> list[int]:
        raise error_of(code)

    assert unless_missing(read, [7]) == [7]


def test_any_other_error_passes_a_reading_command() -> None:
    def read() -> None:
        raise error_of("42501")

    with pytest.raises(LedgerAccessDenied):
        unless_missing(read, None)
