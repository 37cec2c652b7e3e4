"""docs/types.md is generated from the type map and covers every type."""

from __future__ import annotations

from pgsnow.model.types.named_types import BY_NAME, FAMILIES
from pgsnow.model.types.type_page import page
from tests.unit.project.markdown import ROOT


def test_the_page_is_the_one_that_the_code_makes() -> None:
    """After a change: python -m pgsnow.model.types.type_page > docs/types.md"""
    assert (ROOT / "docs/types.md").read_text() == page()


def test_every_type_is_told_once_with_what_is_exact() -> None:
    mappings = [mapping for _, family in FAMILIES for mapping in family]
    assert len(mappings) == len(BY_NAME)
    assert [mapping.postgres for mapping in mappings if not mapping.note] == []
