"""SECURITY.md names tests that exist, and the documentation leads to it."""

from __future__ import annotations

import re

from tests.unit.project.markdown import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()


def test_every_test_that_the_threat_model_names_exists() -> None:
    """An answer to a threat without its test would be an assertion."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_each_threat_has_an_answer_and_a_test() -> None:
    """Rows of the table of threats have three cells, the last of which names a test."""
    table = PAGE.partition("## Threats and answers")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if len(row) != 3 or "`tests/" not in row[2]] == []
    assert "SECURITY.md" in (ROOT / "docs/security.md").read_text()
