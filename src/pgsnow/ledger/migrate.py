"""Creates and upgrades the ledger's tables from migrations/NNNN_name.sql."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from pgsnow.ledger.errors import translating
from pgsnow.ledger.queries_more import Queries
from pgsnow.ledger.rules import lock_key
from pgsnow.ledger.session import HasConninfo, connect
from pgsnow.model.errors import LedgerAccessDenied

PATIENCE = "300s"
"""For one migration, and for another process's migrations."""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One file: idempotent SQL, each statement commented, the last one recording the version."""

    version: int
    name: str
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All of them, in order."""
    found = []
    for file in files("pgsnow.ledger").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            version, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(version), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def migrate(settings: HasConninfo, schema: str) -> None:
    """Bring the ledger in `schema` to this version of pgsnow; one cheap query if it is there already.

    Every migration is a transaction under an advisory lock, so processes that start together wait for the
    first and find nothing left to do. The right to create is needed only when something must be created.
    Raises LedgerUnavailable; LedgerAccessDenied, also for a ledger that a newer pgsnow has upgraded.
    """
    with translating(), connect(settings, statement_timeout=PATIENCE, lock_timeout=PATIENCE) as connection:
        queries = Queries(schema)
        version = _version(connection, queries)
        while version < migrations()[-1].version:
            version = _step(connection, queries, schema)
    _refuse_newer(version, schema)


def _version(connection: psycopg.Connection[dict[str, Any]], queries: Queries) -> int:
    """0 where there is no ledger yet."""
    try:
        row = connection.execute(queries["version"]).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row["version"]) if row else 0


def _step(connection: psycopg.Connection[dict[str, Any]], queries: Queries, schema: str) -> int:
    """Run the next migration, unless another process has just run it; the version reached."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [lock_key(schema, "")])
        _ensure_schema(connection, schema)
        connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
        there = connection.execute("select to_regclass('pgsnow_migrations') is not null as there").fetchone()
        version = _version(connection, queries) if there and there["there"] else 0
        pending = next((m for m in migrations() if m.version > version), None)
        if pending is None:
            return version
        connection.execute(pending.text.encode())
        return pending.version


def _ensure_schema(connection: psycopg.Connection[dict[str, Any]], schema: str) -> None:
    """CREATE SCHEMA IF NOT EXISTS asks for the right to create even where the schema exists; so look
    first.
    """
    if connection.execute("select from pg_namespace where nspname = %s", [schema]).fetchone() is None:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


def _refuse_newer(version: int, schema: str) -> None:
    if version > migrations()[-1].version:
        raise LedgerAccessDenied(
            f"the ledger in schema {schema} has version {version}; this pgsnow knows versions up to "
            f"{migrations()[-1].version}",
            advice="Upgrade pgsnow here to the version of the other workers, or use another `ledger_schema`.",
        )
