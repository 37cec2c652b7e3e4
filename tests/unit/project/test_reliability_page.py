"""docs/reliability.md names tests that exist, and limits that the code has."""

from __future__ import annotations

import re

from pgsnow.integrations.notify import post
from pgsnow.ledger import ledger
from pgsnow.ledger import session as ledger_session
from pgsnow.postgres import connection, silence
from pgsnow.postgres.replication import connection as log_connection
from pgsnow.snowflake import session
from pgsnow.snowflake.stage import bucket
from tests.unit.project.markdown import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LIMITS: dict[str, float | str] = {
    "login to Postgres, source or ledger": connection.CONNECT_TIMEOUT,
    "a lock of another session on a source table": connection.LOCK_TIMEOUT,
    "a statement of the ledger": ledger_session.STATEMENT_TIMEOUT,
    "a lock on a row of the ledger": ledger_session.LOCK_TIMEOUT,
    "a statement of Postgres that sends nothing, until the server is asked over another connection whether it still"
    " works on it": silence.PATIENCE,
    "a statement of the ledger that sends nothing": ledger_session.LedgerConnection.patience,
    "a vanished Postgres (no answer to what was sent)": connection._CLIENT["tcp_user_timeout"] / 1000,
    "a vanished Postgres of the ledger": float(str(ledger_session._CLIENT["tcp_user_timeout"])) / 1000,
    "a replication slot that another session still has": log_connection.BUSY_SECONDS,
    "the server's confirmation of a slot's position": log_connection.CONFIRM_SECONDS,
    "one answer of Snowflake at login": session.LOGIN_SECONDS,
    "one answer of Snowflake to a statement": session.ANSWER_SECONDS,
    "a statement of Snowflake that has no warehouse yet": session.QUEUED_SECONDS,
    "a statement of Snowflake that runs": session.STATEMENT_SECONDS,
    "a lock of another transaction in Snowflake": session.LOCK_SECONDS,
    "connecting to the bucket": bucket.CONNECT_SECONDS,
    "one answer of the bucket": bucket.ANSWER_SECONDS,
    "one request to a receiver of alerts": post.SECONDS,
    "the lease of a worker that has vanished with its network": ledger.LEASE_SECONDS,
}


def test_every_test_that_the_page_names_exists() -> None:
    """A failure whose test was renamed or removed has no proof any more."""
    named = NAMED.findall(PAGE)
    assert len(named) > 10
    missing = []
    for file, function in named:
        path = ROOT / file
        text = path.read_text() if path.exists() else ""
        if not text or (function and f"def {function}(" not in text):
            missing.append(f"{file}::{function}")
    assert missing == []


def test_the_limits_are_those_of_the_code() -> None:
    """Each row of the table of waits has the number of the code's constant, and each constant has its row."""
    table = PAGE.partition("## How long anything waits")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| ([\d,]+) s \|", table, re.MULTILINE))
    assert rows == {name: f"{_seconds(limit):,}" for name, limit in LIMITS.items()}


def _seconds(limit: float | str) -> int:
    return int(str(limit).removesuffix("s").removesuffix(".0"))
