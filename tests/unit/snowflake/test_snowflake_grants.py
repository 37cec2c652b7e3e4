"""The statements for an administrator of Snowflake, to the letter: the emulator has no rights to test them by."""

from __future__ import annotations

from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.grants import account_usage_grants, snowflake_grants

ENV = {
    "POSTGRES_DSN": "postgresql://x@h/d",
    "SNOWFLAKE_ACCOUNT": "org-one",
    "SNOWFLAKE_USER": "loader",
    "SNOWFLAKE_PAT": "t0ken",
    "SNOWFLAKE_WAREHOUSE": '"Load it"',
    "SNOWFLAKE_DATABASE": "lake",
}


def test_each_object_is_granted_once_and_quoted() -> None:
    targets = [
        TargetName("LAKE", "RAW", "A"),
        TargetName("LAKE", "RAW", "B"),
        TargetName("LAKE", 'o"dd', "A"),
    ]
    assert snowflake_grants(Settings.from_env(ENV).snowflake, targets, viewed=targets[:1]) == [
        'CREATE ROLE IF NOT EXISTS "PGSNOW"',
        'CREATE USER IF NOT EXISTS "LOADER" TYPE = SERVICE DEFAULT_ROLE = "PGSNOW"',
        'GRANT ROLE "PGSNOW" TO USER "LOADER"',
        'CREATE RESOURCE MONITOR IF NOT EXISTS "Load it_MONITOR" WITH CREDIT_QUOTA = 12 FREQUENCY = DAILY'
        " START_TIMESTAMP = IMMEDIATELY TRIGGERS ON 100 PERCENT DO NOTIFY ON 200 PERCENT DO SUSPEND",
        'CREATE WAREHOUSE IF NOT EXISTS "Load it" WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 30 AUTO_RESUME = TRUE'
        ' INITIALLY_SUSPENDED = TRUE RESOURCE_MONITOR = "Load it_MONITOR"',
        'GRANT USAGE ON WAREHOUSE "Load it" TO ROLE "PGSNOW"',
        'CREATE DATABASE IF NOT EXISTS "LAKE"',
        'GRANT USAGE ON DATABASE "LAKE" TO ROLE "PGSNOW"',
        'CREATE SCHEMA IF NOT EXISTS "LAKE"."RAW"',
        'GRANT USAGE, CREATE TABLE, CREATE STAGE, CREATE FILE FORMAT, CREATE VIEW ON SCHEMA "LAKE"."RAW"'
        ' TO ROLE "PGSNOW"',
        'CREATE SCHEMA IF NOT EXISTS "LAKE"."o""dd"',
        'GRANT USAGE, CREATE TABLE, CREATE STAGE, CREATE FILE FORMAT ON SCHEMA "LAKE"."o""dd" TO ROLE "PGSNOW"',
    ]


def test_the_configured_role_is_the_one_that_is_granted_to() -> None:
    settings = Settings.from_env({**ENV, "SNOWFLAKE_ROLE": "loading"}).snowflake
    assert snowflake_grants(settings, [])[0] == 'CREATE ROLE IF NOT EXISTS "LOADING"'


def test_a_budget_is_the_quota_of_the_resource_monitor() -> None:
    """Administrators hear of a day that costs more than planned; whole credits, as Snowflake takes no others."""
    settings = Settings.from_env(ENV).snowflake
    [monitor] = [
        sql for sql in snowflake_grants(settings, [], daily_quota=2.5) if "RESOURCE MONITOR IF" in sql
    ]
    assert "CREDIT_QUOTA = 3 " in monitor


def test_the_rights_for_reading_the_accounts_record_are_two_roles() -> None:
    """No more of the SNOWFLAKE database than its history of queries and of warehouses."""
    assert account_usage_grants(Settings.from_env(ENV).snowflake) == [
        'GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE "PGSNOW"',
        'GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE "PGSNOW"',
    ]
