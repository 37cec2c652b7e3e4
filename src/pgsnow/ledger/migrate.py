"""Creates and upgrades the ledger's tables from migrations/NNNN_name.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import psycopg
from psycopg import sql

from pgsnow.ledger.errors import ledger_error, translating
from pgsnow.ledger.queries import statement
from pgsnow.ledger.session import LedgerConnection, connect, lock_key
from pgsnow.model.errors import LedgerAccessDenied, LedgerQueryFailed
from pgsnow.postgres.connection import HasConninfo

TIMEOUT = "300s"
"""Bound of one migration, and of the wait for another process's migrations."""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One migration file: idempotent SQL whose last statement records the version."""

    version: int
    name: str
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, in order."""
    found = []
    for file in files("pgsnow.ledger").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            version, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(version), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found))


_TABLE = re.compile(r"^create table if not exists (\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(
    r"^    (?!primary\b|unique\b|check\b|foreign\b|constraint\b)(\w+) (.+?),?$", re.MULTILINE
)
_KEY = re.compile(r"^    primary key \((.+)\)|^    (\w+) .*primary key", re.MULTILINE)
_EMPTY = {"text": "''", "jsonb": "'{}'", "text[]": "'{}'", "timestamptz": "now()"}
"""Value for rows that are there already, of a column that is added again; 0 for other types."""
_MISSING_COLUMNS = """
select name from unnest(%(names)s::text[]) as name
where to_regclass(%(table)s) is not null and not exists (
    select from pg_attribute where attrelid = to_regclass(%(table)s) and attname = name and not attisdropped
)
"""
_HAS_KEY = "select true as there from pg_index where indrelid = to_regclass(%(table)s) and indisprimary"
_BACKFILLS = """
-- A backfill without chunks would look as if all of them were loaded, and numbers of backfills begin at 1 again.
delete from sync_chunks c where not exists (select from sync_backfills b where b.id = c.backfill);
delete from sync_backfills b where not exists (select from sync_chunks c where c.backfill = b.id);
update sync_watermarks w set backfill = null
where backfill is not null and not exists (select from sync_backfills b where b.id = w.backfill);
alter table sync_chunks drop constraint if exists sync_chunks_backfill_fkey;
alter table sync_chunks add constraint sync_chunks_backfill_fkey
    foreign key (backfill) references sync_backfills (id) on delete cascade;
"""


@cache
def ledger_tables() -> dict[str, frozenset[str]]:
    """Each table of a ledger → the columns that it has had since it was created, also in the ledgers of older versions.
    By them a ledger is recognized in any schema."""
    tables = (table for migration in migrations() for table in _TABLE.finditer(migration.text))
    return {table[1]: frozenset(name for name, _ in _COLUMN.findall(table[2])) for table in tables}


def migrate(settings: HasConninfo, schema: str) -> None:
    """Bring the ledger in `schema` to this version of pgsnow; one cheap query if it has that version.

    Every migration is a transaction under an advisory lock, so processes that start together wait for the
    first and find nothing left to do. The privilege to create is needed only when something must be created.
    Raises LedgerUnavailable; LedgerAccessDenied, also for a ledger that a newer pgsnow has upgraded.
    """
    timeouts = {"statement_timeout": TIMEOUT, "lock_timeout": TIMEOUT}
    with translating(schema), connect(settings, schema, **timeouts) as connection:
        version = _version(connection, schema)
        while version < migrations()[-1].version:
            try:
                version = _step(connection, schema)
            except psycopg.errors.InsufficientPrivilege as error:
                raise _not_owner(
                    f"the ledger must be upgraded from version {version}", schema, error
                ) from error
    check_not_newer(version, schema)


def missing_of_complete(settings: HasConninfo, schema: str, error: psycopg.Error) -> bool:
    """False: the ledger was not created or not upgraded yet, which explains the error. Raises LedgerAccessDenied if
    something was dropped from a complete one: it must not be taken for an empty ledger."""
    with connect(settings, schema) as connection:
        if _version(connection, schema) < migrations()[-1].version:
            return False
    raise LedgerAccessDenied(
        f"{ledger_error(error, schema)}, although the ledger has version {migrations()[-1].version}: it was dropped",
        advice="The next run (a worker's, or `pgsnow run`) creates it again, and keeps what is still there.",
    )


def recreate_missing(settings: HasConninfo, schema: str, error: psycopg.Error) -> bool:
    """True: what the error's statement missed is there again, empty; what was still there is kept.

    Every migration runs again, in one transaction under the advisory lock: each is idempotent. Raises
    LedgerAccessDenied if the role may not do that, and LedgerQueryFailed if rows do not fit the key of their table."""
    timeouts = {"statement_timeout": TIMEOUT, "lock_timeout": TIMEOUT}
    with connect(settings, schema, **timeouts) as connection:
        try:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s)", [lock_key(schema, "")])
                _ensure_schema(connection, schema)
                connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
                for migration in migrations():
                    for table in _TABLE.finditer(migration.text):
                        _add_columns(connection, table[1], dict(_COLUMN.findall(table[2])))
                    connection.execute(migration.text.encode())
                for table in (t for m in migrations() for t in _TABLE.finditer(m.text)):
                    _add_key(connection, schema, table[1], table[2])
                connection.execute(_BACKFILLS.encode())
        except psycopg.errors.InsufficientPrivilege as denied:
            raise _not_owner(
                str(ledger_error(error, schema)).removeprefix("ledger: "), schema, denied
            ) from denied
        except psycopg.Error as failed:
            raise ledger_error(failed, schema) from failed
    return True


def _add_columns(connection: LedgerConnection, table: str, columns: dict[str, str]) -> None:
    """Add the columns that a table has lost. columns: name -> definition."""
    missing = connection.execute(_MISSING_COLUMNS, {"table": table, "names": list(columns)}).fetchall()
    for name in (row["name"] for row in missing):
        definition = columns[name].replace(" primary key", "")
        needs_value = "not null" in definition and " default " not in definition and " as " not in definition
        value = f" default {_EMPTY.get(definition.split()[0], '0')}" if needs_value else ""
        connection.execute(f"alter table {table} add column {name} {definition}{value}".encode())
        if value:
            connection.execute(f"alter table {table} alter column {name} drop default".encode())


def _add_key(connection: LedgerConnection, schema: str, table: str, body: str) -> None:
    """Add the primary key that a table has lost. Raises LedgerQueryFailed if its rows do not fit it."""
    if (key := _KEY.search(body)) is None or connection.execute(_HAS_KEY, {"table": table}).fetchone():
        return
    try:
        connection.execute(f"alter table {table} add primary key ({key[1] or key[2]})".encode())
    except (psycopg.errors.IntegrityError, psycopg.errors.UndefinedColumn) as error:
        lost = "all tables are read again" if table == "sync_watermarks" else "what it had recorded is lost"
        raise LedgerQueryFailed(
            f"ledger: {schema}.{table} has lost its primary key, and its rows do not fit one:"
            f" {error.diag.message_primary}",
            advice=f"Correct the rows, or drop the table (DROP TABLE {schema}.{table};): the next run creates it,"
            f" and {lost}.",
        ) from error


def _not_owner(what: str, schema: str, denied: psycopg.Error) -> LedgerAccessDenied:
    return LedgerAccessDenied(
        f"ledger: {what}, and its role may not change that: {denied.diag.message_primary}",
        advice=f"Grant the ledger's role CREATE on schema {schema} (on the database, if there is no schema yet) and"
        " make it the owner of the ledger's tables; `pgsnow check` prints the statements. Or let their owner run"
        " `pgsnow run` once, with its own LEDGER_DSN.",
        code=denied.sqlstate,
    )


def _version(connection: LedgerConnection, schema: str) -> int:
    """The newest migration that ran; 0 where there is no ledger yet."""
    try:
        row = connection.execute(statement("version", schema)).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row["version"]) if row else 0


def _step(connection: LedgerConnection, schema: str) -> int:
    """Run the next migration, unless another process has just run it; returns the version reached."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [lock_key(schema, "")])
        _ensure_schema(connection, schema)
        connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
        there = connection.execute("select to_regclass('pgsnow_migrations') is not null as there").fetchone()
        version = _version(connection, schema) if there and there["there"] else 0
        pending = next((m for m in migrations() if m.version > version), None)
        if pending is None:
            return version
        connection.execute(pending.text.encode())
        return pending.version


def _ensure_schema(connection: LedgerConnection, schema: str) -> None:
    """Check first: CREATE SCHEMA IF NOT EXISTS needs the privilege to create even if the schema exists."""
    if connection.execute("select from pg_namespace where nspname = %s", [schema]).fetchone() is None:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


def check_not_newer(version: int, schema: str) -> None:
    """Raises LedgerAccessDenied if the ledger has a version that this pgsnow does not know."""
    if version > migrations()[-1].version:
        raise LedgerAccessDenied(
            f"the ledger in schema {schema} has version {version}; this pgsnow knows versions up to "
            f"{migrations()[-1].version}",
            advice="Upgrade pgsnow here to the version of the other workers, or use another `ledger_schema`.",
        )
