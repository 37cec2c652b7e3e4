"""The estimate beside the account's own record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import TargetAccessDenied
from pgsnow.operations.cost.account import account_record
from pgsnow.snowflake.session import connect
from tests.world import World

HISTORY = (
    "CREATE TABLE SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY (QUERY_TAG VARCHAR, WAREHOUSE_NAME VARCHAR,"
    " WAREHOUSE_SIZE VARCHAR, EXECUTION_TIME NUMBER, CREDITS_USED_CLOUD_SERVICES FLOAT, START_TIME TIMESTAMP_TZ)"
)
METERING = (
    "CREATE TABLE SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY (WAREHOUSE_NAME VARCHAR,"
    " CREDITS_USED_COMPUTE FLOAT, CREDITS_USED_CLOUD_SERVICES FLOAT, START_TIME TIMESTAMP_TZ)"
)
NOW = datetime(2026, 3, 8, 12, 30, tzinfo=UTC)


def test_the_account_is_asked_for_whole_hours_and_a_missing_right_is_named(world: World) -> None:
    """Statements by table, what others used of the warehouse, credits of both kinds: for hours that the account has
    recorded completely. A role without the right learns the two statements that grant it."""
    name = world.settings.snowflake.warehouse
    ledger = Ledger(world.settings.ledger, "public")
    session, settings, since = (
        connect(world.settings.snowflake, query_tag="test"),
        world.settings.snowflake,
        NOW - timedelta(days=7),
    )
    with pytest.raises(TargetAccessDenied) as denied:
        account_record(session, settings, ledger, since, NOW)
    assert "GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE" in denied.value.advice
    assert "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE" in denied.value.advice
    for sql in ("CREATE DATABASE SNOWFLAKE", "CREATE SCHEMA SNOWFLAKE.ACCOUNT_USAGE", HISTORY, METERING):
        session.execute(sql)
    try:
        session.execute(
            "INSERT INTO SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY VALUES"
            f" ('pgsnow:public.users:r1', '{name}', 'X-Small', 1500, 0.001, '2026-03-08T08:00:00+00:00'),"
            f" ('pgsnow:public.users:r2', '{name}', 'X-Small', 500, 0.001, '2026-03-08T08:02:00+00:00'),"
            f" ('pgsnow:public.users:r2', '{name}', NULL, 900, 0.002, '2026-03-08T08:02:00+00:00'),"
            f" ('pgsnow:plan', NULL, NULL, 40, NULL, '2026-03-08T08:03:00+00:00'),"
            f" ('', '{name}', 'X-Small', 6000, 0.5, '2026-03-08T08:04:00+00:00'),"
            f" ('', 'OTHER', 'X-Small', 9000, 0.5, '2026-03-08T08:04:00+00:00'),"
            f" ('pgsnow:public.users:r3', '{name}', 'X-Small', 9000, 1, '2026-03-08T10:00:00+00:00')"
        )
        session.execute(
            "INSERT INTO SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY VALUES"
            f" ('{name}', 0.5, 0.1, '2026-03-08T08:00:00+00:00'), ('{name}', 7, 0, '2026-03-08T11:00:00+00:00'),"
            f" ('OTHER', 3, 0, '2026-03-08T08:00:00+00:00')"
        )
        found = account_record(session, settings, ledger, since, NOW)
    finally:
        session.execute("DROP DATABASE SNOWFLAKE")
        session.close()
        ledger.close()
    assert (found.since.day, found.since.hour, found.until.hour) == (1, 13, 9)
    assert (found.compute, found.estimated) == (0.5, 0.0)
    users, plan = found.by_table["public.users"], found.by_table["plan"]
    assert (users.statements, users.seconds, round(users.services, 6)) == (3, 2.0, 0.004)
    assert (plan.statements, plan.seconds, plan.services) == (1, 0.0, 0.0)
    assert found.share_of_others == 0.75
    assert found.credits_per_1000_statements == pytest.approx(1.0)
