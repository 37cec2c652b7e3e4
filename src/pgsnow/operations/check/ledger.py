"""Check of the ledger: privileges, and whether each connection has its own server session."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from pgsnow.ledger.errors import translating
from pgsnow.ledger.history.loaded_files import WaitingFiles
from pgsnow.ledger.ledger import LEASE_SECONDS
from pgsnow.ledger.queries import statement
from pgsnow.ledger.session import LedgerConnection, connect
from pgsnow.model.duration import approximate_duration
from pgsnow.model.settings.settings import PostgresSettings
from pgsnow.operations.check.ledger_tables import check_tables, is_current
from pgsnow.operations.check.result import CheckResult, Level, failed, ok, warning

WAITING, A_DAY = "staged files", 86_400.0
# PostgreSQL docs: "Access Privilege Inquiry Functions". to_regnamespace is NULL for a schema that is not there.
RIGHTS = """
select quote_ident(%(schema)s) as named, quote_ident(current_user) as role,
       quote_ident(current_database()) as database, s.oid is not null as has_schema,
       has_schema_privilege(s.oid, 'USAGE') and has_schema_privilege(s.oid, 'CREATE') as may_create_table,
       has_schema_privilege(s.oid, 'USAGE') as may_use_schema,
       has_database_privilege(current_database(), 'CREATE') as may_create_schema,
       pg_is_in_recovery() as read_only,
       exists (select from pg_class where relnamespace = s.oid and relname = 'sync_watermarks') as migrated
from (select to_regnamespace(quote_ident(%(schema)s))::oid as oid) s
"""


def check_ledger(settings: PostgresSettings, schema: str) -> list[CheckResult]:
    """Check the ledger. Raises LedgerUnavailable, LedgerAccessDenied."""
    with translating(schema), connect(settings, schema) as conn:
        found = [*_writable(conn, schema, settings.display), *check_tables(conn, schema)]
        if all(result.level is not Level.FAILED for result in found):
            found.extend(_unverified(conn, schema))
            found.extend(_waiting(conn, schema))
        return [*found, _session_kept(conn)]


def _writable(conn: LedgerConnection, schema: str, display: str) -> Iterator[CheckResult]:
    row = conn.execute(RIGHTS, {"schema": schema}).fetchone() or {}
    named, role, database = row["named"], row["role"], row["database"]
    if row["read_only"]:
        yield failed(
            "ledger",
            f"{display} is read-only",
            "Set LEDGER_DSN to a database that takes writes; the source may stay read-only.",
        )
    elif row["has_schema"] and not row["may_use_schema"]:
        yield failed(
            "ledger",
            f"{role} may not use schema {named}",
            f"GRANT USAGE, CREATE ON SCHEMA {named} TO {role};",
        )
    elif row["has_schema"] and not row["may_create_table"] and not is_current(conn, schema):
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


def _waiting(conn: LedgerConnection, schema: str) -> Iterator[CheckResult]:
    """One result for each place where loaded files wait to be removed; a warning if they have waited for a day."""
    if not _has_table(conn, schema, "sync_loaded_files"):
        return
    for row in conn.execute(statement("loaded_files", schema)):
        files = WaitingFiles(**row | {"tables": tuple(row["tables"])})
        detail = str(files)
        if files.seconds < A_DAY:
            yield ok(WAITING, detail)
            continue
        fix = "pgsnow run removes them. If no configuration uses this place any more, remove them by hand, and delete"
        yield warning(WAITING, detail, f"{fix} the rows of sync_loaded_files with this location.")


def _has_table(conn: LedgerConnection, schema: str, name: str) -> bool:
    table = sql.Identifier(schema, name)
    found = conn.execute("select to_regclass(%s) as there", [table.as_string(conn)]).fetchone()
    return found is not None and found["there"] is not None


def _unverified(conn: LedgerConnection, schema: str) -> Iterator[CheckResult]:
    """A warning for each table whose source lost rows that the target may still hold."""
    ledger = sql.Identifier(schema, "sync_watermarks")
    if not _has_table(conn, schema, "sync_watermarks"):
        return
    # as JSON, because an older ledger does not have the column
    doubts = sql.SQL("select source_table, to_jsonb(w) ->> 'unverified' as why from {} w order by 1")
    for row in conn.execute(doubts.format(ledger)).fetchall():
        if row["why"] is not None:
            table = row["source_table"]
            advice = f"pgsnow run --select {table} --full-refresh, then pgsnow verify --select {table}"
            yield warning(table, row["why"], advice)


def _session_kept(conn: LedgerConnection) -> CheckResult:
    """Whether the connection has a server session of its own, which shows other workers that it is alive."""
    if conn.has_own_session:
        return ok("ledger sessions", "each connection keeps its own session")
    return warning(
        "ledger sessions",
        "a pooler is in between: if a worker dies, its tables wait until its lease ends"
        f" ({approximate_duration(LEASE_SECONDS)})",
        "Nothing is lost. To free them at once, set LEDGER_DSN to Postgres itself. The source may stay behind it.",
    )
