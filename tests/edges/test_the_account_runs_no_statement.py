"""The Snowflake account runs no statement for a while.

Group: account
Danger: a quota that is used up, a suspended warehouse or a time limit looks like a rejected statement: staged files are
given up and their rows are read again, the same MERGE is sent twice, and the advice is to check the account's name.
Answer: each such error stops the table with the fix that helps, nothing is repeated in the same run, staged files and
checkpoints stay as they are, and the run after the fix loads everything.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import TableReport
from tests.world import World

QUOTA = (
    90073,
    "22000",
    "Warehouse 'WH' cannot be resumed because resource monitor 'RM' has exceeded its quota.",
)
SUSPENDED = (608, "57P03", "Warehouse 'WH' cannot be resumed.")
TIMEOUT = (
    630,
    "57014",
    "Statement reached its statement or warehouse timeout of 60 second(s) and was canceled.",
)
LOCKED = (390102, "08001", "Your user account has been temporarily locked due to too many failed attempts.")


@pytest.fixture
def refused(world: World) -> Iterator[World]:
    """Users of which 20 are loaded."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    assert tick(world).rows_inserted == 20
    yield world
    world.emulator.answer_with()


def refuse(world: World, containing: str, error: tuple[int, str, str]) -> None:
    errno, sqlstate, message = error
    database = world.settings.snowflake.database
    world.emulator.answer_with(
        {
            "containing": containing,
            "errno": errno,
            "sqlstate": sqlstate,
            "message": message,
            "database": database,
        }
    )


def tick(world: World) -> TableReport:
    with world.engine() as engine:
        return engine.tick(["public.users"]).tables[0]


def staged(world: World) -> int:
    return int(world.sql("select jsonb_array_length(coalesce(staged, '[]')) from sync_watermarks")[0][0])


def test_staged_rows_wait_until_the_account_runs_statements_again(refused: World) -> None:
    """No such error gives staged files up: they are loaded after the fix, without reading a row again."""
    refused.tables[0] |= {"load": "stage", "load_every": "50d"}
    refused.sql("update users set name = 'staged', updated_at = now()")
    assert tick(refused).rows_processed == 0
    assert staged(refused) == 1
    for containing, error, leaf, advice in (
        ("MERGE", QUOTA, "CreditsUsedUp", "RESOURCE MONITOR"),
        ("MERGE", SUSPENDED, "WarehouseUnusable", "AUTO_RESUME"),
        ("MERGE", TIMEOUT, "StatementTimeout", "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"),
        ("LOGIN", LOCKED, "TargetLoginRefused", "MINS_TO_UNLOCK"),
    ):
        refuse(refused, containing, error)
        refused.close_engine()
        with refused.engine() as engine:
            report = engine.tick(load=True).tables[0]
        assert (report.error_type, staged(refused)) == (leaf, 1)
        assert advice in (report.advice or "")
    refused.emulator.answer_with()
    with refused.engine() as engine:
        report = engine.tick(load=True).tables[0]
    assert (report.rows_read, report.rows_updated) == (0, 20)
    refused.assert_equal()


def test_a_merge_that_is_refused_is_sent_once_in_a_run(refused: World) -> None:
    """A MERGE that reached its time limit would run as long again. After any other refusal the target is inspected, and
    if it is as it was, the same MERGE would be refused again: it is tried through a staging table, and for an hour only
    so. (The first inspection after the target was created finds other spellings of its columns' types.)"""
    refused.sql("update users set name = 'late', updated_at = now()")
    unknown = (1471, "42601", "SQL compilation error: an error that pgsnow does not know")
    for error, leaf, through_stages in (
        (TIMEOUT, "StatementTimeout", [True]),
        (unknown, "TargetQueryFailed", [True, True, False]),
        (unknown, "TargetQueryFailed", [False]),
    ):
        refuse(refused, "MERGE", error)
        before = refused.emulator.noted()
        assert tick(refused).error_type == leaf
        sent = [text for text in refused.emulator.statements_since(before) if text.startswith("MERGE")]
        assert ["FILE_FORMAT =>" in text for text in sent] == through_stages
    refused.emulator.answer_with()
    assert tick(refused).rows_updated == 20
    refused.assert_equal()


def test_a_login_that_is_refused_is_tried_once_in_a_tick(refused: World) -> None:
    """Refused logins lock a user: the tick's other tables fail with the same error without a login of their own."""
    refused.tables.append(refused.tables[0] | {"source": "public.orders", "target": "analytics.orders"})
    refused.sql("create table orders (like users including all); insert into orders (id) values (1)")
    refused.sql("update users set name = 'late', updated_at = now()")
    refuse(refused, "LOGIN", LOCKED)
    refused.close_engine()
    before = refused.emulator.connections()
    with refused.engine() as engine:
        reports = engine.tick().tables
    assert [report.error_type for report in reports] == ["TargetLoginRefused"] * 2
    assert refused.emulator.connections() - before == 1
    refused.emulator.answer_with()
    with refused.engine() as engine:
        assert all(report.ok for report in engine.tick().tables)
    refused.assert_equal()
