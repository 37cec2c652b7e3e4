"""Statements with which an administrator grants a role what it needs to load the configured targets, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import TargetName, fold_target
from pgsnow.snowflake.names import quote, schema_of

DEFAULT_ROLE = "PGSNOW"


def snowflake_grants(settings: SnowflakeSettings, targets: Sequence[TargetName]) -> list[str]:
    """Statements, in order; each may be executed again. Existing objects are not changed.

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
        statements.append(
            f"CREATE WAREHOUSE IF NOT EXISTS {warehouse} WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60"
            " AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE"
        )
        statements.append(f"GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role}")
    for database in dict.fromkeys(target.database for target in targets):
        statements.append(f"CREATE DATABASE IF NOT EXISTS {quote(database)}")
        statements.append(f"GRANT USAGE ON DATABASE {quote(database)} TO ROLE {role}")
    for schema in dict.fromkeys(schema_of(target) for target in targets):
        statements.append(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        statements.append(f"GRANT USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA {schema} TO ROLE {role}")
    return statements
