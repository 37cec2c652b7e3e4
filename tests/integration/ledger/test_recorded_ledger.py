"""Rows of `sync_watermarks` from an earlier release (recorded_ledger.json) are understood, and cause no full read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.evolution.source_definition import SourceDefinition
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.catalog.describe import describe
from pgsnow.sync.runtime.planner import prepare

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("recorded_ledger.json").read_text())
TABLE = """
create table {0} (id int primary key, v text, n int default 1, updated_at timestamptz not null default now());
"""
SOURCE = (
    "".join(TABLE.format(name) for name in "tdx")
    + """
create table f (a int, b text);
create table r (id int primary key, d date, secret text, updated_at timestamptz not null default now());
"""
)
WATERMARK = {"pk": "id", "watermark_column": "updated_at"}
CONFIG = {
    "tables": [
        {"source": "public.t", "target": "t", **WATERMARK},
        {"source": "public.d", "target": "d", **WATERMARK, "load_every": "1h"},
        {"source": "public.f", "target": "f", "mode": "full"},
        {"source": "public.x", "target": "x", "pk": "id", "mode": "xmin"},
        {
            "source": "public.r",
            "target": "r",
            **WATERMARK,
            "on_overflow": "null",
            "columns": {"exclude": ["secret"], "rename": {"d": "day"}},
        },
    ]
}


def as_stored(value: Any) -> Any:
    """The value as JSON: tuples are lists there."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["source_table"])
def test_what_an_earlier_release_recorded_is_read_and_written_back_without_a_change(
    row: dict[str, Any],
) -> None:
    assert as_stored(Checkpoint.from_json(row["checkpoint"]).to_json()) == row["checkpoint"]
    assert as_stored(SourceDefinition.from_json(row["source_schema"]).to_json()) == row["source_schema"]
    for staged in row["staged"] or ():
        written = as_stored(StagedBatch.from_json(staged).to_json())
        assert written == {key: value for key, value in staged.items() if key != "staged_at"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["source_table"])
def test_a_table_that_an_earlier_release_synced_is_planned_as_unchanged(
    row: dict[str, Any], database: str, snowflake_env: dict[str, str]
) -> None:
    """Another shape, or other settings, would be a reason to read everything again."""
    snowflake = {"SNOWFLAKE_DATABASE": "ANALYTICS_DB", "SNOWFLAKE_SCHEMA": "UPG"}
    settings = Settings.from_env({**snowflake_env, **snowflake, "POSTGRES_DSN": database})
    config = parse_config(CONFIG, file="recorded", env={}).table(row["source_table"])
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SOURCE.encode())
        source = describe(conn, config.source)
    recorded = SourceDefinition.from_json(
        row["source_schema"] | {"oid": source.oid, "filenode": source.filenode}
    )
    drift = prepare(config, source, settings.snowflake, recorded).drift
    assert drift.plan.shape == row["checkpoint"]["shape"]
    assert (drift.full_read, drift.all_actions, drift.sentences) == (None, (), ())
    assert drift.definition_to_store(recorded, row["target_columns"]) is None
