"""A ledger that rejects a statement: the command names it with advice, and shows no traceback."""

from __future__ import annotations

import pytest

from tests.acceptance.cli_user import Done, User


def shows_the_advice(done: Done, *texts: str) -> None:
    shown = done.out + done.err
    assert "Traceback" not in shown
    for text in texts:
        assert text in shown


@pytest.mark.parametrize(
    "change",
    ["drop table sync_errors", "drop table sync_logs", "alter table sync_watermarks drop column staged"],
)
def test_a_run_creates_again_what_was_dropped_from_the_ledger(user: User, change: str) -> None:
    assert user.here("run").code == 0
    user.sql(change)
    done = user.here("run", "--output", "json")
    assert done.code == 0, done.err
    assert "Traceback" not in done.out + done.err


def test_status_over_a_damaged_ledger_says_what_to_do(user: User) -> None:
    """It only reads, so it creates nothing."""
    assert user.here("run").code == 0
    user.sql("alter table sync_watermarks drop column staged")
    done = user.here("status")
    assert done.code == 2
    shows_the_advice(done, "staged", "pgsnow run")
