"""Check of the ledger's tables: whether the role may read and write each of them, and upgrade them if that is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from pgsnow.ledger.errors import TABLES_MISSING, translating
from pgsnow.ledger.migrate import migrations
from pgsnow.ledger.queries import statement
from pgsnow.model.errors import PgsnowError
from pgsnow.operations.check.result import CheckResult, failed

Connection = psycopg.Connection[dict[str, Any]]

# PostgreSQL docs: "Access Privilege Inquiry Functions", "Row Security Policies".
TABLES = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, quote_ident(current_user) as role,
       quote_ident(pg_get_userbyid(c.relowner)) as owner, pg_has_role(c.relowner, 'USAGE') as owns,
       c.relname in ('pgsnow_migrations', 'pgsnow_ledger') as is_only_read,
       array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality u(p, at)
             where not has_table_privilege(c.oid, p) order by at) as missing,
       row_security_active(c.oid) as hides_rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and has_schema_privilege(n.oid, 'USAGE') and c.relkind in ('r', 'p')
  and (c.relname in ('pgsnow_migrations', 'pgsnow_ledger') or c.relname in (
       'sync_watermarks', 'sync_errors', 'sync_logs', 'sync_horizon', 'sync_backfills', 'sync_chunks'))
order by c.relname
"""


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


def check_tables(conn: Connection, schema: str) -> Iterator[CheckResult]:
    """A failed result for each obstacle; nothing if there is none, or if there are no tables yet. Raises
    psycopg.Error, LedgerUnavailable."""
    version = version_of(conn, schema)
    upgrades = version is not None and version < migrations()[-1].version
    for row in conn.execute(TABLES, [schema]).fetchall():
        name, role = row["name"], row["role"]
        needed = [p for p in row["missing"] if not row["is_only_read"] or p == "SELECT"]
        if needed:
            listed = ", ".join(needed)
            yield failed("ledger", f"{role} may not {listed} {name}", f"GRANT {listed} ON {name} TO {role};")
        if row["hides_rows"]:
            yield failed(
                "ledger",
                f"row-level security of {name} may hide rows from {role}",
                f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY; it is pgsnow's own table.",
            )
        if upgrades and not needed and not row["owns"]:
            yield failed(
                "ledger",
                f"the next run upgrades {name}, which belongs to {row['owner']} and not to {role}",
                f"ALTER TABLE {name} OWNER TO {role};",
            )
