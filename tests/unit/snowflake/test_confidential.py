"""While a statement with credentials is sent, this thread's log lines of the connector are dropped, and no others."""

from __future__ import annotations

import logging
import threading

import pytest

from pgsnow.model.settings.secret import Secret
from pgsnow.snowflake.redacted import Confidential

STATEMENT = Confidential("COPY ***", Secret("COPY hunter-two"), (Secret("hunter-two"),))
CONNECTOR = "snowflake.connector.somewhere"


def test_only_this_threads_lines_of_the_connector_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=CONNECTOR)
    caplog.set_level(logging.DEBUG, logger="host")
    connector, host = logging.getLogger(CONNECTOR), logging.getLogger("host")

    def execute(text: str) -> int:
        connector.debug("running %s", text)
        host.debug("of the host")
        neighbour = threading.Thread(target=lambda: connector.debug("of a neighbour"))
        neighbour.start()
        neighbour.join()
        return 7

    assert STATEMENT.send(execute) == 7
    connector.debug("after it")
    assert [record.getMessage() for record in caplog.records] == ["of the host", "of a neighbour", "after it"]


def test_after_a_failure_the_connector_is_heard_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=CONNECTOR)
    with pytest.raises(ZeroDivisionError):
        STATEMENT.send(lambda _: 1 // 0)
    logging.getLogger(CONNECTOR).debug("after it")
    assert caplog.messages == ["after it"]
