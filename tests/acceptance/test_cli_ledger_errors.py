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
    ("change", "texts"),
    [
        ("drop table sync_errors", ("sync_errors", "drop public.pgsnow_migrations")),
        ("drop table sync_logs", ("sync_logs", "drop public.pgsnow_migrations")),
        ("alter table sync_watermarks drop column staged", ("staged", "docs/ledger.md")),
    ],
)
def test_a_run_over_a_damaged_ledger_says_what_to_do(user: User, change: str, texts: tuple[str, ...]) -> None:
    assert user.here("run").code == 0
    user.sql(change)
    done = user.here("run", "--output", "json")
    assert done.code == 2
    shows_the_advice(done, *texts)


def test_status_over_a_damaged_ledger_says_what_to_do(user: User) -> None:
    assert user.here("run").code == 0
    user.sql("alter table sync_watermarks drop column staged")
    done = user.here("status")
    assert done.code == 2
    shows_the_advice(done, "staged", "docs/ledger.md")
