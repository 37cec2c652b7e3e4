"""Statements with which an administrator grants a role what it needs to load the configured targets, and no more."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import TargetName, fold_target
from pgsnow.snowflake.names import quote, schema_of

DEFAULT_ROLE = "PGSNOW"


DAILY_QUOTA = 12.0
"""Credits a day of the resource monitor without a budget: an X-Small warehouse that is awake for half a day."""


def snowflake_grants(
    settings: SnowflakeSettings,
    targets: Sequence[TargetName],
    *,
    daily_quota: float | None = None,
    viewed: Collection[TargetName] = (),
) -> list[str]:
    """Statements, in order; each may be executed again. Existing objects are not changed.

    daily_quota: credits a day at which the resource monitor tells the administrators; at twice as many it suspends the
    warehouse once its statements have ended. viewed: the targets with a live view.

    Snowflake docs, "Access control privileges". Creating a table or stage requires USAGE on its database and schema;
    the role owns what it creates, so it needs no other privileges there.
    """
    role = quote(fold_target(settings.role or DEFAULT_ROLE))
    statements = [f"CREATE ROLE IF NOT EXISTS {role}"]
    if settings.user:
        user = quote(fold_target(settings.user))
        statements.append(f"CREATE USER IF NOT EXISTS {user} TYPE = SERVICE DEFAULT_ROLE = {role}")
        statements.append(f"GRANT ROLE {role} TO USER {user}")
    if settings.warehouse:
        warehouse = quote(fold_target(settings.warehouse))
        monitor = quote(f"{fold_target(settings.warehouse)}_MONITOR")
        statements.append(
            f"CREATE RESOURCE MONITOR IF NOT EXISTS {monitor} WITH CREDIT_QUOTA = {_quota(daily_quota)}"
            " FREQUENCY = DAILY START_TIMESTAMP = IMMEDIATELY"
            " TRIGGERS ON 100 PERCENT DO NOTIFY ON 200 PERCENT DO SUSPEND"
        )
        statements.append(
            f"CREATE WAREHOUSE IF NOT EXISTS {warehouse} WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 30"
            f" AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE RESOURCE_MONITOR = {monitor}"
        )
        statements.append(f"GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role}")
    for database in dict.fromkeys(target.database for target in targets):
        statements.append(f"CREATE DATABASE IF NOT EXISTS {quote(database)}")
        statements.append(f"GRANT USAGE ON DATABASE {quote(database)} TO ROLE {role}")
    views = {schema_of(target) for target in viewed}
    for schema in dict.fromkeys(schema_of(target) for target in targets):
        statements.append(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        rights = "USAGE, CREATE TABLE, CREATE STAGE, CREATE FILE FORMAT"
        rights += ", CREATE VIEW" if schema in views else ""
        statements.append(f"GRANT {rights} ON SCHEMA {schema} TO ROLE {role}")
    return statements


def account_usage_grants(settings: SnowflakeSettings) -> list[str]:
    """Statements after which the role may read the account's record of queries and of warehouses, for `pgsnow cost
    --account` (Snowflake docs, "SNOWFLAKE database roles")."""
    role = quote(fold_target(settings.role or DEFAULT_ROLE))
    views = ("GOVERNANCE_VIEWER", "USAGE_VIEWER")
    return [f"GRANT DATABASE ROLE SNOWFLAKE.{view} TO ROLE {role}" for view in views]


def _quota(credits: float | None) -> int:
    """A whole number of credits, as a resource monitor needs it."""
    return max(1, math.ceil(credits or DAILY_QUOTA))
