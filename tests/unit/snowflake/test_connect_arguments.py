"""What a session relies on does not depend on the account's defaults, nor on the host's logging."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from pgsnow.model.errors import TargetAccessDenied, TargetUnavailable
from pgsnow.snowflake import session as connection
from pgsnow.snowflake.session import connect, connect_arguments


class Given:
    """Settings with these arguments."""

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    def connect_kwargs(self) -> dict[str, Any]:
        return self._arguments


def test_utc_timeout_and_input_formats_are_set_at_login() -> None:
    parameters = connect_arguments({})["session_parameters"]
    assert "QUERY_TAG" not in parameters, "it goes with each statement"
    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["STATEMENT_TIMEOUT_IN_SECONDS"] == 3600
    assert parameters["TIMESTAMP_INPUT_FORMAT"] == "AUTO"
    assert parameters["CLIENT_TELEMETRY_ENABLED"] is False


def test_what_waits_cuts_results_or_reads_bytes_does_not_depend_on_the_account() -> None:
    """An account's own values could let a statement wait for hours, cut its result, or read other bytes."""
    given = {"session_parameters": {"LOCK_TIMEOUT": 43_200, "ROWS_PER_RESULTSET": 100}}
    parameters = connect_arguments(given)["session_parameters"]
    pinned = {
        "LOCK_TIMEOUT": 120,
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": 600,
        "ROWS_PER_RESULTSET": 0,
        "BINARY_INPUT_FORMAT": "HEX",
        "ABORT_DETACHED_QUERY": True,
    }
    assert {name: parameters[name] for name in pinned} == pinned


def test_settings_may_add_session_parameters_but_not_change_ours() -> None:
    given = {"session_parameters": {"TIMEZONE": "Europe/Berlin", "USE_CACHED_RESULT": False}}
    parameters = connect_arguments(given)["session_parameters"]
    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["USE_CACHED_RESULT"] is False


def test_statements_commit_one_by_one_bind_on_the_server_and_keep_no_session_alive() -> None:
    arguments = connect_arguments({"autocommit": False, "user": "u", "client_session_keep_alive": True})
    assert arguments["autocommit"] is True
    assert arguments["paramstyle"] == "qmark"
    assert arguments["user"] == "u"
    assert arguments["client_session_keep_alive"] is False


def test_the_connector_is_not_imported_before_the_first_connect() -> None:
    """A worker imports pgsnow before it forks; the connector must come after."""
    code = (
        "import sys, pgsnow.snowflake.load.merge, pgsnow.snowflake.schema.target_table, pgsnow.snowflake.query;"
        "sys.exit('snowflake.connector' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_host_that_refuses_is_unavailable() -> None:
    with pytest.raises(TargetUnavailable):
        connect(
            Given(account="a", user="u", password="hunter2", host="127.0.0.1", port=1, protocol="http"),
            query_tag="t",
        )


@pytest.mark.parametrize(
    "arguments", [{"private_key_file": "/nowhere/key.p8"}, {"private_key": b"not a key"}]
)
def test_a_key_that_cannot_be_used_is_for_a_person(arguments: dict[str, Any]) -> None:
    settings = Given(
        account="a", user="u", authenticator="SNOWFLAKE_JWT", host="127.0.0.1", port=1, **arguments
    )
    with pytest.raises(TargetAccessDenied):
        connect(settings, query_tag="t")


def test_no_secret_is_in_the_error_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    settings = Given(account="a", user="u", password="hunter2", host="127.0.0.1", port=1, protocol="http")
    with caplog.at_level(logging.DEBUG), pytest.raises(TargetUnavailable) as caught:
        connect(settings, query_tag="t")
    assert "hunter2" not in f"{caught.value!r} {caught.value} {caught.value.advice}"
    assert "hunter2" not in caplog.text


def test_loggers_that_the_host_has_set_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    logger, root = logging.getLogger("snowflake.connector"), logging.getLogger()
    before = root.level, list(root.handlers)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    connection._quieten()
    assert logger.level == logging.DEBUG
    assert (root.level, list(root.handlers)) == before
