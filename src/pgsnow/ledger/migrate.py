"""Creates and upgrades the ledger's tables from migrations/NNNN_name.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import psycopg
from psycopg import sql

from pgsnow.ledger.errors import translating
from pgsnow.ledger.queries import statement
from pgsnow.ledger.session import LedgerConnection, connect, lock_key
from pgsnow.model.errors import LedgerAccessDenied
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
_COLUMN = re.compile(r"^    (?!primary\b|unique\b|check\b|foreign\b|constraint\b)(\w+) ", re.MULTILINE)


@cache
def ledger_tables() -> dict[str, frozenset[str]]:
    """Each table of a ledger → the columns that it has had since it was created, also in the ledgers of older versions.
    By them a ledger is recognized in any schema."""
    tables = (table for migration in migrations() for table in _TABLE.finditer(migration.text))
    return {table[1]: frozenset(_COLUMN.findall(table[2])) for table in tables}


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
            version = _step(connection, schema)
    _check_not_newer(version, schema)


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


def _check_not_newer(version: int, schema: str) -> None:
    if version > migrations()[-1].version:
        raise LedgerAccessDenied(
            f"the ledger in schema {schema} has version {version}; this pgsnow knows versions up to "
            f"{migrations()[-1].version}",
            advice="Upgrade pgsnow here to the version of the other workers, or use another `ledger_schema`.",
        )
