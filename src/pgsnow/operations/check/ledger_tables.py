"""Check of the ledger's tables: whether the role may read and write each of them, and upgrade them if that is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from pgsnow.ledger.errors import TABLES_MISSING, translating
from pgsnow.ledger.migrate import check_not_newer, migrations
from pgsnow.ledger.queries import statement
from pgsnow.model.errors import PgsnowError
from pgsnow.operations.check.result import CheckResult, failed

Connection = psycopg.Connection[dict[str, Any]]

# PostgreSQL docs: "Access Privilege Inquiry Functions", "Row Security Policies".
TABLES = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, quote_ident(current_user) as role,
       quote_ident(pg_get_userbyid(c.relowner)) as owner, pg_has_role(c.relowner, 'USAGE') as owns,
       array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality u(p, at)
             where not has_table_privilege(c.oid, p) order by at) as missing, c.relname::text as table_name,
       row_security_active(c.oid) as hides_rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and has_schema_privilege(n.oid, 'USAGE') and c.relkind in ('r', 'p') and c.relname = any (%s)
order by c.relname
"""
_ROWS = ("SELECT", "INSERT", "UPDATE")
NEEDED = {
    "pgsnow_migrations": ("SELECT",),
    "pgsnow_ledger": ("SELECT", "UPDATE"),
    "sync_watermarks": _ROWS,
    "sync_errors": _ROWS,
    "sync_logs": ("SELECT", "INSERT", "DELETE"),
    "sync_hours": (*_ROWS, "DELETE"),
    "sync_counters": _ROWS,
    "sync_requests": (*_ROWS, "DELETE"),
    "sync_ticks": (*_ROWS, "DELETE"),
    "sync_checks": _ROWS,
    "sync_heartbeats": _ROWS,
    "sync_loaded_files": (*_ROWS, "DELETE"),
    "sync_alerts": (*_ROWS, "DELETE"),
    "sync_alert_messages": (*_ROWS, "DELETE"),
    "sync_horizon": _ROWS,
    "sync_backfills": (*_ROWS, "DELETE"),
    "sync_chunks": _ROWS,
    "sync_warehouses": _ROWS,
    "sync_budget": (*_ROWS, "DELETE"),
    "sync_slots": _ROWS,
}
"""A table → the privileges that the statements of a run use. (Rows of sync_chunks are deleted by its foreign key, with
the rights of the table's owner.)"""


def version_of(conn: Connection, schema: str) -> int | None:
    """The version of the ledger's tables: 0 if there are none, None if the role may not read it. Raises
    LedgerUnavailable."""
    try:
        with translating(schema):
            row = conn.execute(statement("version", schema)).fetchone()
    except PgsnowError as error:
        if error.code in TABLES_MISSING | {"3F000"}:
            return 0
        if error.code == "42501":
            return None
        raise
    return int(row["version"]) if row else 0


def is_current(conn: Connection, schema: str) -> bool:
    """True if a run has nothing to create, to upgrade or to create again. A version that the role may not read needs a
    grant of its own. Raises LedgerUnavailable, psycopg.Error; LedgerAccessDenied for a ledger of a newer version."""
    version = version_of(conn, schema)
    if version is None:
        return True
    check_not_newer(version, schema)
    found = {row["table_name"] for row in conn.execute(TABLES, [schema, list(NEEDED)]).fetchall()}
    return version == migrations()[-1].version and found == set(NEEDED)


def check_tables(conn: Connection, schema: str) -> Iterator[CheckResult]:
    """A failed result for each obstacle; nothing if there is none, or if there are no tables yet. Raises
    psycopg.Error, LedgerUnavailable."""
    changes = not is_current(conn, schema)
    for row in conn.execute(TABLES, [schema, list(NEEDED)]).fetchall():
        name, role = row["name"], row["role"]
        needed = [p for p in row["missing"] if p in NEEDED[row["table_name"]]]
        if needed:
            listed = ", ".join(needed)
            yield failed("ledger", f"{role} may not {listed} {name}", f"GRANT {listed} ON {name} TO {role};")
        if row["hides_rows"]:
            yield failed(
                "ledger",
                f"row-level security of {name} may hide rows from {role}",
                f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY; it is pgsnow's own table.",
            )
        if changes and not needed and not row["owns"]:
            yield failed(
                "ledger",
                f"the next run upgrades or completes {name}, which belongs to {row['owner']} and not to {role}",
                f"ALTER TABLE {name} OWNER TO {role};",
            )
