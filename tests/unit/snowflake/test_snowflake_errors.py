"""Every kind of failure of the connector ends in the leaf that says what happens next."""

from __future__ import annotations

import pytest
from snowflake.connector import errorcode
from snowflake.connector import errors as driver

from pgsnow.model import errors
from pgsnow.snowflake.errors import SnowflakeErrorClass, class_of_errno, translated, translating


@pytest.mark.parametrize(
    ("errno", "sqlstate", "expected"),
    [
        (2003, "42S02", errors.TargetMissing),
        (2003, "02000", errors.TargetMissing),
        (2043, "02000", errors.TargetMissing),
        (1003, "42000", errors.TargetQueryFailed),
        (100035, "22007", errors.TargetQueryFailed),
        (100078, "22000", errors.TargetQueryFailed),
        (630, "57014", errors.StatementTimeout),
        (999, "57014", errors.StatementTimeout),
        (90073, "22000", errors.CreditsUsedUp),
        (666, "57014", errors.CreditsUsedUp),
        (608, "57P03", errors.WarehouseUnusable),
        (999, "57P03", errors.WarehouseUnusable),
        (999, "53300", errors.TargetUnavailable),
        (253003, None, errors.StageUnreachable),
        (603, "XX000", errors.StatementInterrupted),
        (604, "57014", errors.StatementInterrupted),
        (370001, "XX000", errors.StatementInterrupted),
        (625, "57014", errors.WriteConflict),
        (999, "40001", errors.WriteConflict),
        (3001, "42501", errors.TargetAccessDenied),
        (999, "42501", errors.TargetAccessDenied),
        (999, "28000", errors.TargetAccessDenied),
        (606, "57P03", errors.WarehouseUnusable),
        (390100, "08001", errors.TargetLoginRefused),
        (390144, "08001", errors.TargetLoginRefused),
        (390201, "08001", errors.TargetLoginRefused),
        (390104, None, errors.TargetUnavailable),
        (390112, None, errors.TargetUnavailable),
        (390114, None, errors.TargetUnavailable),
        (290503, None, errors.TargetUnavailable),
        (580500, None, errors.TargetUnavailable),
        (290429, None, errors.TargetUnavailable),
        (290403, "08001", errors.TargetLoginRefused),
        (290404, "08001", errors.TargetLoginRefused),
        (None, None, errors.TargetQueryFailed),
    ],
)
def test_an_errno_decides_what_happens_next(
    errno: int | None, sqlstate: str | None, expected: type[errors.PgsnowError]
) -> None:
    ours = translated(driver.ProgrammingError("no", errno=errno, sqlstate=sqlstate))
    assert type(ours) is expected


def test_the_errno_is_kept_as_the_code() -> None:
    assert translated(driver.ProgrammingError("no", errno=100035)).code == "100035"


def test_one_errno_at_login_is_told_apart_by_class() -> None:
    """250001 stands for a dead host, a refused login and a wrong account alike."""
    errno = errorcode.ER_FAILED_TO_CONNECT_TO_DB
    assert isinstance(translated(driver.OperationalError("no", errno=errno)), errors.TargetUnavailable)
    assert isinstance(translated(driver.DatabaseError("no", errno=errno)), errors.TargetAccessDenied)
    wrong_account = translated(driver.ForbiddenError(errno=errno))
    assert isinstance(wrong_account, errors.TargetAccessDenied)
    assert "SNOWFLAKE_ACCOUNT" in wrong_account.advice
    assert isinstance(translated(driver.BadGatewayError(errno=errno)), errors.TargetUnavailable)


NETWORK = {
    "ER_CONNECTION_IS_CLOSED",
    "ER_FAILED_TO_REQUEST",
    "ER_FAILED_TO_SERVER",
    "ER_IDP_CONNECTION_ERROR",
    "ER_CONNECTION_TIMEOUT",
    "ER_RETRYABLE_CODE",
    "ER_NO_ADDITIONAL_CHUNK",
    "ER_FAILED_TO_RENEW_SESSION",
    "ER_CHUNK_DOWNLOAD_FAILED",
    "ER_INCOMPLETE_RESULT_CHUNK",
    "ER_FAILED_TO_DOWNLOAD_FROM_STAGE",
    "ER_FAILED_TO_CHECK_EXISTING_FILES",
    "ER_FAILED_TO_READ_ARROW_STREAM",
}


def test_of_the_clients_own_numbers_only_the_networks_are_tried_again() -> None:
    """Whatever numbers a new connector brings, the list of what is retried stays narrow."""
    ours = {name: value for name, value in vars(errorcode).items() if name.startswith("ER_")}
    retried = {
        name for name, number in ours.items() if class_of_errno(number) is SnowflakeErrorClass.UNAVAILABLE
    }
    assert retried - {"ER_HTTP_GENERAL_ERROR"} == NETWORK


def test_wrong_settings_of_the_connector_are_for_a_person() -> None:
    assert class_of_errno(errorcode.ER_NO_PASSWORD) is SnowflakeErrorClass.DENIED
    assert class_of_errno(errorcode.ER_INVALID_PRIVATE_KEY) is SnowflakeErrorClass.DENIED


@pytest.mark.parametrize("errno", [606, 608, 630, 666, 90073, 253003, 390100, 390422])
def test_errors_of_the_account_say_what_a_person_can_do(errno: int) -> None:
    """None of them is tried again in the same run, none is taken for a refused statement, after which staged files
    would be given up, and each names the fix."""
    ours = translated(driver.ProgrammingError("no", errno=errno))
    assert not ours.transient
    assert ours.backs_off
    assert not isinstance(ours, errors.TargetQueryFailed)
    assert ours.advice
    assert "SNOWFLAKE_ACCOUNT" not in ours.advice


def test_a_statement_that_the_server_ended_is_tried_again_and_backs_off_if_that_stays() -> None:
    """An internal error may pass at once, but a statement that always meets it is not sent in each tick forever."""
    ours = translated(driver.ProgrammingError("no", errno=603))
    assert ours.transient
    assert ours.backs_off


def test_the_signature_in_the_url_of_a_failed_upload_is_not_shown() -> None:
    """The connector's message has the URL of the file in the cloud storage, of which the query may be a credential."""
    url = "https://sfc.blob.core.windows.net/stages/part.parquet?sv=2024&sig=SECRET"
    failed = driver.OperationalError(f"'Error(\"PUT with url {url} failed\")'", errno=253003)
    message = str(translated(failed))
    assert "sfc.blob.core.windows.net/stages/part.parquet" in message
    assert "SECRET" not in message


def test_a_part_file_that_is_gone_is_written_again() -> None:
    ours = translated(driver.ProgrammingError("no", errno=errorcode.ER_FILE_NOT_EXISTS))
    assert isinstance(ours, errors.LoadMismatch)
    assert ours.transient


def test_a_bare_network_error_is_an_outage() -> None:
    with pytest.raises(errors.TargetUnavailable, match="ConnectionResetError"), translating():
        raise ConnectionResetError("reset")


def test_a_long_message_is_cut_and_made_one_line() -> None:
    message = str(translated(driver.ProgrammingError("a\nb" * 1000, errno=1003)))
    assert "\n" not in message
    assert len(message) < 600
