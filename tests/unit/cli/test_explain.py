"""`pgsnow explain` knows every topic that a message, or the documentation's own tables, can send a person to."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.cli.commands.explain.explain import explain, linked_topics
from pgsnow.cli.commands.explain.pages import anchor_of, listed, names, sections, text_of
from pgsnow.cli.commands.explain.topics import error_classes, explanation, suggestions
from pgsnow.model.config.sync_config import json_schema
from pgsnow.model.errors import ConfigError
from pgsnow.model.report import Status
from tests.unit.project.markdown import ROOT, headings

SOURCE = ROOT / "src/pgsnow"
OTHERS = [p for p in SOURCE.rglob("*") if p.suffix in {".txt", ".html", ".json"}]


def messages(module: Path) -> Iterator[str]:
    """The texts of a module that a person may see: its strings, but no docstrings."""
    if not re.search(r"docs/|pgsnow explain", source := module.read_text()):
        return
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


@functools.cache
def texts() -> list[tuple[str, str]]:
    """File and text of everything that a person may see."""
    modules = [module for module in SOURCE.rglob("*.py") if module.name != "type_page.py"]
    found = [(module.name, text) for module in modules for text in messages(module)]
    return [*found, *((file.name, file.read_text()) for file in OTHERS)]


def test_no_message_sends_a_person_to_a_file_that_only_a_checkout_has() -> None:
    assert [(file, text) for file, text in texts() if re.search(r"docs/[\w/-]+\.md", text)] == []


def test_every_topic_that_a_message_names_exists() -> None:
    named = {topic for _, text in texts() for topic in re.findall(r"pgsnow explain ([a-z][\w#-]*)", text)}
    assert "settings#postgres" in named
    assert [topic for topic in sorted(named) if explanation(topic) is None] == []


def test_every_page_term_key_variable_status_and_error_is_a_topic() -> None:
    """Each is explained by a text that names it."""
    table = json_schema()["$defs"]["TableConfig"]["properties"]
    variables = re.findall(r"^\| `([A-Z0-9_]+)` \|", text_of("settings"), re.MULTILINE)
    columns = re.findall(r"^\| `(\w+)` \|", text_of("ledger"), re.MULTILINE)
    terms = [section.title for section in sections("glossary") if section.text.startswith("### ")]
    topics = [*table, *variables, *columns, *(status.value for status in Status), *terms]
    topics += [error.__name__ for error in error_classes()]
    assert len(topics) > 250
    assert [topic for topic in topics if topic.lower() not in (explanation(topic) or "").lower()] == []
    assert [page for page in names() if not (explanation(page) or page == "decisions/README")] == []


def test_case_blanks_and_dashes_do_not_matter() -> None:
    lease = explanation("lease")
    assert lease is not None
    assert lease.startswith("### Lease")
    assert explanation("  LEASE ") == explanation("leases") == lease
    assert explanation("transaction_id window") == explanation("Transaction-ID-window") is not None
    assert (explanation("idle") or "").startswith("### Idle and busy")


def test_a_section_has_the_sections_inside_of_it_and_no_others() -> None:
    found = explanation("going-live#2-snowflake") or ""
    assert found.startswith("## 2. Snowflake")
    assert "## 3." not in found
    assert "### Values of up to 1 GB" in (explanation("reader#values") or "")


def test_a_decision_is_found_by_its_number() -> None:
    assert (explanation("decision 7") or "").startswith("# 7. ")


def test_anchors_are_those_of_the_pages() -> None:
    """A link of a page and an argument of the command name a section in the same way."""
    for page in (entry.page for entry in listed()):
        assert [section.anchor for section in sections(page)] == headings(ROOT / f"docs/{page}.md"), page
    assert anchor_of("`load: auto | insert`") == "load-auto--insert"


def test_an_unknown_topic_ends_with_the_nearest_ones() -> None:
    with pytest.raises(ConfigError, match="no topic 'watermrk'") as raised:
        explain(["watermrk"])
    assert "Watermark" in raised.value.advice
    assert "deletes#" in " ".join(suggestions("track_counts"))


def test_without_a_topic_every_page_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    explain(None)
    shown = capsys.readouterr().out
    assert [entry.page for entry in listed() if f"**{entry.page}**" not in shown] == []


def test_a_page_in_a_pipe_is_the_markdown_itself(capsys: pytest.CaptureFixture[str]) -> None:
    explain(["deletes"])
    assert capsys.readouterr().out == text_of("deletes").strip() + "\n"


def test_links_become_topics() -> None:
    text = (
        "[a](settings.md#postgres) [b](#here) [c](https://x.example) ![d](images/e.svg) [f](../howto/s3.md)"
    )
    assert linked_topics(text, "deletes") == ["settings#postgres", "deletes#here", "s3"]
