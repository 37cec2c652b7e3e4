"""Statements of the pages that are compared with the code."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from typer.main import get_command

from pgsnow.cli.app import app_of
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from tests.unit.project.markdown import ROOT, anchors, blocks, headings, links, pages

README = ROOT / "README.md"
PLAN = ROOT / "plan/snowflake_sync_plan.md"
ENV_EXAMPLE = ROOT / "backend/.env.example"
PLAN_VARIABLES = {
    *("POSTGRES_DSN", "PG_HOST", "PG_USER", "PG_PASS", "PG_DB", "PG_PORT"),
    *("SNOWFLAKE_USER", "SNOWFLAKE_PASSWORD", "SNOWFLAKE_ACCOUNT"),
    *("SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE", "SNOWFLAKE_SCHEMA"),
    *("S3_ACCESS_KEY", "S3_SECRET", "S3_BUCKET"),
}
GLOSSARY = ROOT / "docs/glossary.md"
WITHOUT_TERMS = {"CHANGELOG.md", "types.md", "glossary.md"}
"""Pages without links to the glossary: lists, the glossary itself, and one that is generated."""
PAGES = pages()


def test_every_link_leads_somewhere() -> None:
    assert [
        (page.name, link) for page in PAGES for link in links(page) if not (page.parent / link).exists()
    ] == []


def test_every_anchor_is_a_heading_of_its_page() -> None:
    headings_of = functools.cache(headings)
    assert [
        (page.name, f"{to.name}#{anchor}")
        for page in PAGES
        for to, anchor in anchors(page)
        if anchor not in headings_of(to)
    ] == []


def test_every_command_that_is_shown_exists() -> None:
    """Each `pgsnow <command> --option` of a page is one that the command line knows."""
    program: Any = get_command(app_of([]))
    for page in PAGES:
        for shown in re.findall(r"\bpgsnow((?: (?:[a-z][a-z-]*|--[a-z-]+))+)", _commands(page)):
            assert _unknown(program, shown.split()) == [], f"{page.name}: pgsnow{shown}"


def _commands(page: Path) -> str:
    text = page.read_text()
    indented = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    return "\n".join([*blocks(page, "sh"), indented, *re.findall(r"`([^`\n]+)`", text)])


def _unknown(command: Any, words: list[str]) -> list[str]:
    """Those words that are neither a command, nor an option of it, nor an option's value, nor an argument."""
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    takes = any(parameter.param_type_name == "argument" for parameter in command.params)
    return [
        word
        for word in words
        if word not in options and (word.startswith("--") or (word == words[0] and not takes))
    ]


def test_the_readmes_table_list_is_a_valid_configuration() -> None:
    [block] = blocks(README, "yaml")
    config = parse_config(yaml.safe_load(block), file="README.md", env={})
    assert [table.target for table in config.tables] == ["analytics.users", "analytics.checkins"]


def test_the_readmes_ten_lines_run_as_they_stand(tmp_path: Path) -> None:
    """With the readme's own sync_config.yaml beside them, in a fresh interpreter and an empty environment."""
    (tmp_path / "sync_config.yaml").write_text(blocks(README, "yaml")[0])
    code = "\n".join(blocks(README, "python"))
    (tmp_path / "lines.py").write_text(
        code
        + "\ncelery.finalize()\n"
        + "print(list(celery.conf.beat_schedule), 'worker.sync.sync_postgres_to_snowflake' in celery.tasks,"
        + " app.url_path_for('status'))\n"
    )
    ran = subprocess.run(
        [sys.executable, "lines.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "['sync-postgres-to-sf-every-2-minutes'] True /sync/status", ran.stderr


def test_env_example_names_every_variable_of_the_plan() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", ENV_EXAMPLE.read_text(), re.MULTILINE))
    assert PLAN_VARIABLES - named == set()


def test_env_example_filled_in_is_complete() -> None:
    """A copy of it is all that the settings need; its password is warned about."""
    settings = Settings.from_env({k: v for k, v in dotenv_values(ENV_EXAMPLE).items() if v is not None})
    assert settings.source.display == "127.0.0.1:5432/app as pgsnow"
    assert settings.snowflake.database == "ANALYTICS_DB"
    assert any("key pair" in warning for warning in settings.snowflake.warnings)


def test_the_plan_names_only_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:sync|postgres|snowflake|ledger|model)/[a-z_]+\.py)`", PLAN.read_text()))
    assert named, "the plan tells where things live"
    assert [name for name in sorted(named) if not (ROOT / "src/pgsnow" / name).exists()] == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = {link for link in links(folder / "README.md") if "/" not in link}
    assert {p.name for p in folder.glob("[0-9]*.md")} == listed


def test_the_list_of_decisions_has_their_titles() -> None:
    folder = ROOT / "docs/decisions"
    listed = dict(
        re.findall(r"^\| \[\d+\]\((.+?)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    )
    titles = {p.name: p.read_text().split("\n")[0].split(". ", 1)[1] for p in folder.glob("[0-9]*.md")}
    assert listed == titles


def test_every_page_is_reachable_from_the_index() -> None:
    index = ROOT / "docs/index.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert [
        str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")) if p not in listed | {index}
    ] == []


def test_each_glossary_entry_says_in_a_few_sentences_what_the_term_means_and_where_to_read_more() -> None:
    for entry in re.split(r"^### ", GLOSSARY.read_text(), flags=re.MULTILINE)[1:]:
        text = re.split(r"^## ", entry, flags=re.MULTILINE)[0].partition("\n")[2].strip()
        explained, arrow, more = text.rpartition("→")
        assert arrow, entry
        assert re.fullmatch(r"\s*\[.+\]\(.+\)", more), entry
        assert 1 <= len(re.findall(r"\.(?:\s|$)", explained)) <= 3, entry


def test_every_page_links_its_terms_to_the_glossary() -> None:
    pages_of_terms = [p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")] if p.name not in WITHOUT_TERMS]
    assert [
        str(p.relative_to(ROOT))
        for p in pages_of_terms
        if not any(GLOSSARY.name in link for link in links(p))
    ] == []


def test_where_is_names_files_and_packages_that_exist() -> None:
    """Questions of the form "where would … go" name places that are still to be made."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("### Where is")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ") and "would" not in line]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/)?)`", row)} - {
        "sync_errors"
    }
    assert "sync/pipeline/rejected_rows.py" in named
    assert [name for name in sorted(named) if not (ROOT / "src/pgsnow" / name).exists()] == []


def test_every_module_that_a_page_names_exists() -> None:
    """Except those that CONTRIBUTING says are still to be made."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    planned = "\n".join(line for line in contributing.splitlines() if "would" in line)
    packages = "|".join(path.name for path in (ROOT / "src/pgsnow").iterdir() if path.is_dir())
    module = re.compile(rf"`(?:src/)?(?:pgsnow/)?((?:{packages})/[a-z_/]+\.py)")
    named = {(name, page.name) for page in PAGES for name in module.findall(page.read_text())}
    to_come = set(module.findall(planned))
    assert [
        (name, page)
        for name, page in sorted(named)
        if name not in to_come and not (ROOT / "src/pgsnow" / name).exists()
    ] == []
