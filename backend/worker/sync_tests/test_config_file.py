"""sync_config.yaml: exactly the plan's table list, and correct comments."""

from __future__ import annotations

import re

import yaml

from backend.worker.sync_utils import config_file
from pgsnow.config.load import load_config
from pgsnow.model.config.sync_config import json_schema

PLAN = {
    "sync_interval_seconds": 120,
    "default_batch_size": 1000,
    "tables": [
        {
            "source": "public.users",
            "target": "analytics.users",
            "pk": "id",
            "watermark_column": "updated_at",
            "batch_size": 500,
            "transform": None,
        },
        {
            "source": "public.checkins",
            "target": "analytics.checkins",
            "pk": "id",
            "watermark_column": "last_modified",
            "batch_size": 1000,
            "transform": None,
        },
    ],
}


def test_it_is_the_plans_list() -> None:
    assert yaml.safe_load(config_file().read_text()) == PLAN


def test_it_means_what_the_plan_means_by_it() -> None:
    config = load_config(config_file(), {})
    assert config.sync_interval_seconds == 120
    assert [(str(t.source), t.target, t.pk, t.watermark_column, t.batch_size) for t in config.enabled] == [
        ("public.users", "analytics.users", ("id",), "updated_at", 500),
        ("public.checkins", "analytics.checkins", ("id",), "last_modified", 1000),
    ]


def test_every_setting_that_its_comments_offer_exists() -> None:
    """Options of the whole sync with their defaults, and options of a table."""
    text = config_file().read_text()
    schema = json_schema()
    offered = dict(re.findall(r"^# ([a-z_]+): (\S+)", text, re.MULTILINE))
    assert {"parallel_tables", "ledger_schema", "task_time_limit_seconds"} <= set(offered)
    assert set(offered) <= set(schema["properties"])
    defaults = {name: schema["properties"][name].get("default") for name in offered if name != "defaults"}
    assert {name: yaml.safe_load(offered[name]) for name in defaults} == defaults
    table = set(re.findall(r"^  # ([a-z_]+)  +\S", text, re.MULTILINE))
    assert {"source", "target", "late_rows", "where"} <= table
    assert table <= set(schema["$defs"]["TableConfig"]["properties"])
