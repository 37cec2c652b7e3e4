"""docs/edges.md is generated from the tests in tests/edges and names all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edges.page import GROUPS, edges, page
from tests.unit.project.markdown import ROOT


def test_the_page_is_the_one_that_the_tests_make() -> None:
    """After a change: python -m tests.edges.page > docs/edges.md"""
    assert (ROOT / "docs/edges.md").read_text() == page(edges())


def test_each_group_has_an_entry_and_no_two_entries_have_one_title() -> None:
    found = edges()
    assert {edge.group for edge in found} == set(GROUPS)
    assert len({edge.title for edge in found}) == len(found)


def test_a_test_without_its_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_something.py").write_text('"""Something happens."""\n')
    with pytest.raises(ValueError, match=r"test_something\.py: the docstring has no title"):
        edges(tmp_path)
