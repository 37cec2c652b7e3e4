"""Every statement of the ledger stands in queries.sql, explained, used, and fenced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pgsnow.ledger
from pgsnow.ledger.migrate import ledger_tables, migrations
from pgsnow.ledger.queries import statement, texts

SOURCES = "\n".join(path.read_text() for path in sorted(Path(pgsnow.ledger.__path__[0]).rglob("*.py")))
UNFENCED = {
    "claim": "it grants the fence",
    "add_tables": "it adds rows that nobody can have claimed",
    "verified": "it names the doubt that it removes",
    "pause_tables": "a person pauses a table whoever has it; the run in progress goes on",
    "resume_tables": "a person ends the pause, which no run relies on",
    "forget_log_positions": "a table that loses its position is read otherwise, whoever has it",
    "record_certificate": "commands compare without a claim, and no run relies on what they record",
}


def test_each_statement_says_what_it_is_for_and_is_used() -> None:
    assert [name for name, text in texts().items() if not text.startswith("-- ")] == []
    assert [name for name in texts() if f'"{name}"' not in SOURCES] == []


def test_each_write_to_sync_watermarks_names_its_fence() -> None:
    writes = re.compile(r"(update|insert into|delete from) \{schema\}\.sync_watermarks")
    fence = re.compile(r"fence = (%\(fence\)s|w\.fence|moves\.fence|runs\.fence)|\.fence = w\.fence")
    written = {name: text for name, text in texts().items() if writes.search(text) and name not in UNFENCED}
    assert [name for name, text in written.items() if not fence.search(text)] == []


def test_the_schemas_name_is_quoted_everywhere() -> None:
    for name in texts():
        text = statement(name, 'a"b').as_string()
        assert "{" not in text, name
        code = re.sub(r"--.*", "", text)
        for table in ("sync_watermarks", "sync_errors", "sync_logs", "sync_horizon", "pgsnow_migrations"):
            assert code.count(table) == code.count(f'"a""b".{table}'), name


def test_a_statement_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        statement("no such statement", "public")


def test_discovery_knows_all_tables_of_the_ledger_and_their_columns() -> None:
    created = {
        name for m in migrations() for name in re.findall(r"create table if not exists (\w+)", m.text.lower())
    }
    assert created
    assert created == ledger_tables().keys()
    assert ledger_tables()["sync_horizon"] == {"source", "taken_at", "begun", "updated_at"}
    assert "backfill" in ledger_tables()["sync_chunks"]
    assert "primary" not in ledger_tables()["sync_chunks"]
