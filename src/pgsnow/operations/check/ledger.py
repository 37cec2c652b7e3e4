"""Check of the ledger: privileges, and whether each connection has its own server session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from pgsnow.ledger.errors import translating
from pgsnow.ledger.session import connect
from pgsnow.model.settings.settings import PostgresSettings
from pgsnow.operations.check.result import CheckResult, failed, ok, warning

Connection = psycopg.Connection[dict[str, Any]]

# PostgreSQL docs: "Access Privilege Inquiry Functions". to_regnamespace is NULL for a schema that is not there.
RIGHTS = """
select quote_ident(%(schema)s) as named, quote_ident(current_user) as role,
       quote_ident(current_database()) as database, s.oid is not null as has_schema,
       has_schema_privilege(s.oid, 'USAGE') and has_schema_privilege(s.oid, 'CREATE') as may_create_table,
       has_database_privilege(current_database(), 'CREATE') as may_create_schema,
       pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool as read_only,
       to_regclass(quote_ident(%(schema)s) || '.sync_watermarks') is not null as migrated
from (select to_regnamespace(quote_ident(%(schema)s))::oid as oid) s
"""


def check_ledger(settings: PostgresSettings, schema: str) -> list[CheckResult]:
    """Check the ledger. Raises LedgerUnavailable, LedgerAccessDenied."""
    with translating(schema), connect(settings, schema) as one, connect(settings, schema) as two:
        return [*_writable(one, schema, settings.display), _session_kept(one, two), *_unverified(one, schema)]


def _writable(conn: Connection, schema: str, display: str) -> Iterator[CheckResult]:
    row = conn.execute(RIGHTS, {"schema": schema}).fetchone() or {}
    named, role, database = row["named"], row["role"], row["database"]
    if row["read_only"]:
        yield failed(
            "ledger",
            f"{display} is read-only",
            "Set LEDGER_DSN to a database that takes writes; the source may stay read-only.",
        )
    elif row["has_schema"] and not row["may_create_table"]:
        yield failed(
            "ledger",
            f"{role} may not create tables in schema {named}",
            f"GRANT USAGE, CREATE ON SCHEMA {named} TO {role};",
        )
    elif not row["has_schema"] and not row["may_create_schema"]:
        yield failed(
            "ledger",
            f"there is no schema {named}, and {role} may not create it",
            f"CREATE SCHEMA {named} AUTHORIZATION {role}; or GRANT CREATE ON DATABASE {database} TO {role};",
        )
    else:
        yield ok(
            "ledger",
            f"{display}, schema {named}" + ("" if row["migrated"] else " (the first run creates its tables)"),
        )


def _unverified(conn: Connection, schema: str) -> Iterator[CheckResult]:
    """A warning for each table whose source lost rows that the target may still hold."""
    ledger = sql.Identifier(schema, "sync_watermarks")
    if conn.execute("select to_regclass(%s)", [ledger.as_string(conn)]).fetchone() == {"to_regclass": None}:
        return
    # as JSON, because an older ledger does not have the column
    doubts = sql.SQL("select source_table, to_jsonb(w) ->> 'unverified' as why from {} w order by 1").format(
        ledger
    )
    for row in conn.execute(doubts):
        if row["why"] is not None:
            table = row["source_table"]
            advice = f"pgsnow run --select {table} --full-refresh, then pgsnow verify --select {table}"
            yield warning(table, row["why"], advice)


def _session_kept(one: Connection, two: Connection) -> CheckResult:
    """Check that two open connections have two server processes: a pooler may lend one process to both in
    turn."""
    pids = [conn.execute("select pg_backend_pid() as pid").fetchone() for conn in (one, two)]
    if pids[0] == pids[1]:
        return failed(
            "ledger sessions",
            "a pooler shares one session among connections, so a lease cannot be held",
            "Set LEDGER_DSN to Postgres itself, or to a pooler in session mode. The source may stay behind it.",
        )
    return ok("ledger sessions", "each connection keeps its own session")
