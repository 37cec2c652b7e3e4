"""Every block of a page that a program can read is read by one: configuration, Python, JSON, variables, SQL.

Commands are checked by test_pages; the readme, the tutorial and the first steps of going live are run as a whole by
tests of their own; the SQL for a ledger is run by tests/integration/ledger/test_documented_sql.py.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
import yaml
from celery import Celery
from sqlglot import exp

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import SyncReport
from tests.unit.project.markdown import ROOT, blocks, pages

A_TABLE = {"source": "public.users", "target": "users", "watermark_column": "updated_at"}
VARIABLES = {
    "PGSNOW_HASH_SALT": "salt",
    "SLACK_URL": "https://hooks.example.com/T0",
    "PAGERDUTY_KEY": "0" * 32,
    "WEBHOOK_URL": "https://hooks.example.com/T1",
    "HEARTBEAT_URL": "https://beats.example.com/T2",
}
"""Variables that blocks use for their secrets."""
OF_OTHERS = {
    "groups",
    "inhibit_rules",
    "receivers",
    "scrape_configs",
    "rule_files",
    "route",
    "services",
    "sources",
    "models",
}
"""Keys at the top of files of Prometheus, Docker Compose and dbt."""
FOR_POSTGRES = {
    "evolution.md",
    "ledger.md",
    "loading.md",
    "recover.md",
    "upgrade.md",
    "replica.md",
    "why-rows-are-lost.md",
}
"""Pages whose SQL is for Postgres. That of going-live.md is for both; its first two blocks are run."""
PAGES = [page for page in pages() if page.name != "tutorial.md"]


class Idle:
    """An engine whose ticks find nothing to do, for blocks that show what is done with a report."""

    def tick(self) -> SyncReport:
        return SyncReport("0", datetime.now(UTC), 0.1, ())


def each(language: str) -> list[tuple[str, str]]:
    return [(page.name, block) for page in PAGES for block in blocks(page, language)]


def test_every_configuration_that_is_shown_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a file is completed by a table."""
    monkeypatch.syspath_prepend(str(ROOT / "backend"))
    variables = VARIABLES | {
        name: "value" for _, block in each("yaml") for name in re.findall(r"\$\{(\w+)\}", block)
    }
    for page, block in each("yaml"):
        shown = yaml.safe_load(block)
        if shown.keys() & OF_OTHERS:
            continue
        parse_config({"tables": [A_TABLE], **shown}, file=page, env={**variables, **VARIABLES})


def test_every_json_document_that_is_shown_is_one() -> None:
    for page, block in each("json"):
        for line in [block] if block.lstrip().startswith(("{\n", "[\n")) else block.splitlines():
            assert json.loads(line), page


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the readme's sync_config.yaml, and with the application of the page's first lines."""
    (tmp_path / "sync_config.yaml").write_text(blocks(ROOT / "README.md", "yaml")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://pgsnow@db.internal/app")
    for page, block in each("python"):
        exec(compile(block, page, "exec"), {"app": Celery("shop", broker="memory://"), "engine": Idle()})


def test_every_variable_that_a_block_sets_is_explained() -> None:
    explained = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs/settings.md").read_text()))
    shown = {
        (page, name)
        for page, block in each("sh")
        for name in re.findall(r"^([A-Z][A-Z0-9_]+)=", block, re.MULTILINE)
    }
    assert {(page, name) for page, name in shown if name not in explained} == set()


def test_every_statement_for_snowflake_can_be_parsed() -> None:
    """By a parser of Snowflake's dialect; statements that it does not know as a whole are at least named."""
    for page, block in each("sql"):
        if page not in FOR_POSTGRES and "RESULT_SCAN" not in block:
            for statement in sqlglot.parse(block, dialect="snowflake"):
                assert isinstance(statement, exp.Expression), page
