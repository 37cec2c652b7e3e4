"""The page about deleted rows, compared with the code."""

from __future__ import annotations

import yaml

from pgsnow.model.config.options import Deletes
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.config.table_config import TableOptions
from pgsnow.sync.compare.compare import FAN, LEAF
from pgsnow.sync.compare.ranges import FIRST_ROWS
from pgsnow.sync.table.deletes.guards import SMALL
from tests.unit.project.markdown import ROOT, blocks

PAGE = ROOT / "docs/deletes.md"


def test_the_table_list_of_the_page_is_valid() -> None:
    """With soft deletes in one table, and other limits in another."""
    [block] = blocks(PAGE, "yaml")
    orders, sessions = parse_config(yaml.safe_load(block), file=PAGE.name, env={}).tables
    assert orders.deletes is Deletes.SOFT
    assert (sessions.deletes, sessions.max_delete_share) == (Deletes.HARD, 0.5)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    """Sizes of ranges, and the default limits of a sweep."""
    text = PAGE.read_text()
    defaults = {name: field.default for name, field in TableOptions.model_fields.items()}
    for stated in (
        f"`sweep_share` ({defaults['sweep_share']:.0%})",
        f"`max_delete_share` ({defaults['max_delete_share']:.0%})",
        f"`sweep_every` (`{defaults['sweep_every'] / 86_400:.0f}d`)",
        f"at least {SMALL:,}",
        f"about {FIRST_ROWS:,} keys",
        f"{FAN} parts",
        f"at most {LEAF:,}",
    ):
        assert stated in text
