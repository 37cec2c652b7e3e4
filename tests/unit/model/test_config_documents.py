"""The pages and the schema say of each key what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pgsnow.model.config.budget import BudgetConfig
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.config.sync_config import (
    ColumnsConfig,
    MaskRule,
    SyncConfig,
    TableConfig,
    TransformConfig,
    json_schema,
    parse_config,
)
from pgsnow.model.duration import parse_duration
from pgsnow.model.settings.environment import VARIABLES

DOCS = Path(__file__).parents[3] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": SyncConfig,
    "Cost": CostConfig,
    "Budget": BudgetConfig,
    "A table": TableConfig,
    "Columns": ColumnsConfig,
    "A transform": TransformConfig,
    "A rule of `mask`:": MaskRule,
}


def rows(section: str) -> dict[str, tuple[str, str]]:
    """key → (default, meaning) of the table that follows this heading."""
    text = (DOCS / "configuration.md").read_text()
    after = re.split(rf"^(?:## )?{re.escape(section)}$", text, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    return {key: (default, meaning) for key, default, meaning in ROW.findall(table[0])}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_has_a_row_and_every_row_a_key(section: str) -> None:
    extra = {"defaults"} if section == "The file" else set()
    assert set(rows(section)) == set(SECTIONS[section].model_fields) | extra


@pytest.mark.parametrize("section", SECTIONS)
def test_each_documented_default_is_the_default(section: str) -> None:
    for key, (written, _) in rows(section).items():
        if key == "defaults" or not written.startswith("`"):
            continue
        assert _value(written.strip("`")) == SECTIONS[section].model_fields[key].default, key


def _value(text: str) -> Any:
    if re.fullmatch(r"\d+[smhd]", text):
        return parse_duration(text)
    return yaml.safe_load(text)


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_without_a_default_are_marked_as_required(section: str) -> None:
    required = {key for key, field in SECTIONS[section].model_fields.items() if field.is_required()}
    assert {key for key, (written, _) in rows(section).items() if written == "required"} == required


@pytest.mark.parametrize("page", ["configuration.md", "transforms.md"])
def test_the_examples_are_valid(page: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        parse_config(yaml.safe_load(block), file=page, env={"PGSNOW_HASH_SALT": "salt"})


def test_every_variable_has_a_row_in_the_settings_page() -> None:
    found = re.findall(r"^\| `([A-Z0-9_]+)` \| (.+) \|$", (DOCS / "settings.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in found) == sorted(VARIABLES)
    assert {name for name, meaning in found if meaning.endswith(" Secret.")} == {
        name for name, variable in VARIABLES.items() if variable.secret
    }


def test_the_committed_schema_is_the_one_that_is_printed() -> None:
    """After a change: pgsnow schema > docs/sync_config.schema.json"""
    assert json.loads((DOCS / "sync_config.schema.json").read_text()) == json_schema()


def test_the_schema_names_every_key_and_says_what_it_is() -> None:
    schema = json_schema()
    parts: dict[type[BaseModel], Any] = {SyncConfig: schema}
    parts |= {kind: schema["$defs"][kind.__name__] for kind in (TableConfig, ColumnsConfig, TransformConfig)}
    for kind, part in parts.items():
        assert set(kind.model_fields) <= set(part["properties"])
        assert part["additionalProperties"] is False
        assert [key for key, value in part["properties"].items() if not value.get("description")] == []
