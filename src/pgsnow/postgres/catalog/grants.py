"""GRANT statements for an administrator: a role may read the listed tables and keep the ledger, and no more."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.postgres.sql import text_of

T = TypeVar("T", bound=Hashable)


def source_grants(role: str, database: str, tables: Sequence[TableConfig]) -> list[str]:
    """Statements for reading the tables, in order; each may be run again. `database` '' leaves CONNECT out.

    PostgreSQL docs: "GRANT", "Predefined Roles". An integer watermark is bounded by its sequence, which needs a
    privilege of its own.
    """
    who = Identifier(role)
    statements = [_role(role)]
    if database:
        statements.append(SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(database), who))
    statements.append(SQL("GRANT pg_read_all_stats TO {}").format(who))
    for schema in _unique(table.source.schema for table in tables):
        statements.append(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(schema), who))
    for source in _unique(table.source for table in tables):
        statements.append(
            SQL("GRANT SELECT ON {} TO {}").format(Identifier(source.schema, source.table), who)
        )
    if any(table.mode is TableMode.LOG for table in tables):
        statements.append(_replication(role))
    if followed := [table for table in tables if table.mode is TableMode.WATERMARK]:
        statements.append(_sequences(role, followed))
    return [text_of(statement) for statement in statements]


def ledger_grants(role: str, database: str, schema: str) -> list[str]:
    """Statements for keeping the ledger, in order; each may be run again. A schema other than `public` is created."""
    who, where = Identifier(role), Identifier(schema)
    statements = [_role(role)]
    if database:
        statements.append(SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(database), who))
    if schema != "public":
        statements.append(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(where))
    statements.append(SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(where, who))
    return [text_of(statement) for statement in statements]


def _role(role: str) -> Composable:
    """Create the role unless it exists (CREATE ROLE has no IF NOT EXISTS)."""
    return SQL(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN"
        " CREATE ROLE {} LOGIN; END IF; END $$"
    ).format(Literal(role), Identifier(role))


def _replication(role: str) -> Composable:
    """Let the role read the log: by the role of a service that has one for this, else by the attribute."""
    return SQL(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication') THEN"
        " GRANT rds_replication TO {}; ELSE ALTER ROLE {} REPLICATION; END IF; END $$"
    ).format(Identifier(role), Identifier(role))


def _sequences(role: str, tables: Sequence[TableConfig]) -> Composable:
    """Grant SELECT on the sequences of the watermark columns, which are looked up where the statement runs."""
    columns = SQL(", ").join(
        SQL("({}, {})").format(
            Literal(text_of(Identifier(table.source.schema, table.source.table))),
            Literal(table.watermark_column),
        )
        for table in tables
    )
    return SQL(
        "DO $$ DECLARE s text; BEGIN FOR s IN SELECT DISTINCT pg_catalog.pg_get_serial_sequence(t, c)"
        " FROM (VALUES {}) w(t, c) LOOP CONTINUE WHEN s IS NULL;"
        " EXECUTE pg_catalog.format('GRANT SELECT ON SEQUENCE %s TO %I', s, {}); END LOOP; END $$"
    ).format(columns, Literal(role))


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
