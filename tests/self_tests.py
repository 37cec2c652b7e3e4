"""A self-test of reading past libpq that a server has passed is not repeated in this process.

Each engine tests its first connection (`pgsnow.postgres.copy.self_test`). To pgsnow, an engine of a test is a process
of its own, but the server, the driver and the channel are those that the engine of an earlier test has tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def self_tests_remembered() -> Iterator[None]:
    """A self-test passes without being run if a connection to the same server passed it through the same channel."""
    from pgsnow.postgres.copy import choose, self_test

    run = self_test.difference
    passed: set[tuple[str, int, Any]] = set()

    def difference(conn: Any, open_channel: Any) -> str | None:
        tested = (conn.info.host, conn.info.port, open_channel)
        if tested in passed:
            return None
        found = run(conn, open_channel)
        if found is None:
            passed.add(tested)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "difference", difference)
        yield


@pytest.fixture
def each_self_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the self-test: none is remembered."""
    from pgsnow.postgres.copy import choose, self_test

    monkeypatch.setattr(choose, "difference", self_test.difference)
