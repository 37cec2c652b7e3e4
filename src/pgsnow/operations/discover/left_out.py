"""Relations that are not proposed unless they are asked for: views, and tables that other tools keep for themselves.
pgsnow's own tables are never proposed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgsnow.ledger.migrate import ledger_tables
from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.table import SourceName

LEDGER_MARK = "pgsnow_migrations"
BOOKKEEPING = frozenset(
    {
        *("alembic_version", "schema_migrations", "ar_internal_metadata", "django_migrations"),
        *("flyway_schema_history", "databasechangelog", "databasechangeloglock", "__efmigrationshistory"),
        *("_prisma_migrations", "knex_migrations", "knex_migrations_lock", "sequelizemeta", "pgmigrations"),
        *(
            "goose_db_version",
            "_sqlx_migrations",
            "__diesel_schema_migrations",
            "gorp_migrations",
            "phinxlog",
        ),
        *("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock", "awsdms_ddl_audit"),
    }
)
"""Names, in lower case, of the tables in which migration tools keep what they have done."""
_VIEWS = {"v": "view", "m": "materialized view"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A relation that is not proposed. kind: view, materialized view, or the bookkeeping of a tool."""

    name: SourceName
    kind: str

    @property
    def is_view(self) -> bool:
        return self.kind in _VIEWS.values()


def without_ledgers(tables: Sequence[SurveyedTable]) -> list[SurveyedTable]:
    """The tables that are not of a ledger of pgsnow, in whichever schema it is. A ledger's table has its name, and its
    columns or the ledger's list of migrations beside it."""
    marked = {table.name.schema for table in tables if table.name.table == LEDGER_MARK}
    return [table for table in tables if not _is_of_a_ledger(table, marked)]


def _is_of_a_ledger(table: SurveyedTable, marked: set[str]) -> bool:
    columns = ledger_tables().get(table.name.table)
    if columns is None:
        return False
    return table.name.schema in marked or columns <= {column.name for column in table.source.columns}


def left_out(tables: Iterable[SurveyedTable], *, views: bool, wanted: Iterable[str]) -> tuple[LeftOut, ...]:
    """Those of the tables that are not proposed. views: propose views too. wanted: names that were given exactly, in
    SourceName's form or without a schema; they are proposed."""
    named = set(wanted)
    found = ((table, _kind(table, views=views)) for table in tables)
    return tuple(
        LeftOut(table.name, kind)
        for table, kind in found
        if kind
        and named.isdisjoint({str(table.name), f"{table.name.schema}.{table.name.table}", table.name.table})
    )


def _kind(table: SurveyedTable, *, views: bool) -> str:
    if not views and (kind := _VIEWS.get(table.source.relkind)):
        return kind
    return "bookkeeping of a migration tool" if table.name.table.lower() in BOOKKEEPING else ""
