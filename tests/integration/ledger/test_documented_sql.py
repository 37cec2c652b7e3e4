"""The SQL that pages show for the ledger runs on a ledger of this version."""

from __future__ import annotations

import psycopg
from psycopg import sql

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.integration.ledger.crew import SCHEMA
from tests.servers import own_database
from tests.unit.project.markdown import ROOT, blocks

PAGES = ("ledger.md", "loading.md", "evolution.md", "howto/recover.md", "howto/upgrade.md")


def test_the_statements_of_a_page_run_on_a_ledger(postgres: EmbeddedPostgres, migrated: str) -> None:
    with own_database(postgres, template=migrated) as dsn, psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("set search_path to {}").format(sql.Identifier(SCHEMA)))
        for page in PAGES:
            shown = blocks(ROOT / "docs" / page, "sql")
            assert shown, page
            for block in shown:
                connection.execute(block.encode())
