"""What a sync_config.yaml means."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pgsnow.model.config.sync_config import (
    LateRows,
    LoadMethod,
    MaskRule,
    SyncConfig,
    TransformConfig,
    parse_config,
)
from pgsnow.model.errors import ConfigError
from pgsnow.model.table import SourceName

PLAN = """
sync_interval_seconds: 120
default_batch_size: 1000
tables:
  - source: public.users
    target: analytics.users
    pk: id
    watermark_column: updated_at
    batch_size: 500
    transform: null
  - source: public.checkins
    target: analytics.checkins
    pk: id
    watermark_column: last_modified
    batch_size: 1000
    transform: null
"""


def parse(text: str, **env: str) -> SyncConfig:
    return parse_config(yaml.safe_load(text), file="sync_config.yaml", env=env)


def one(**keys: Any) -> Any:
    """A table with these keys besides the four it must have."""
    table = {"source": "public.a", "target": "s.a", "pk": "id", "watermark_column": "u", **keys}
    return parse_config({"tables": [table]}, file="f", env={}).tables[0]


def test_the_plan_s_file_parses_as_written() -> None:
    config = parse(PLAN)
    assert config.sync_interval_seconds == 120
    users, checkins = config.tables
    assert users.source == SourceName("public", "users")
    assert (users.name, users.target, users.pk) == ("public.users", "analytics.users", ("id",))
    assert (users.watermark_column, users.batch_size, users.transform) == ("updated_at", 500, None)
    assert (checkins.watermark_column, checkins.batch_size) == ("last_modified", 1000)


def test_what_is_left_out_has_the_documented_defaults() -> None:
    config = parse("tables: [{source: a, target: b, pk: id, watermark_column: u}]")
    assert (config.parallel_tables, config.ledger_schema, config.log_retention_days) == (4, "public", 14)
    assert config.task_time_limit_seconds == 21_600
    table = config.tables[0]
    assert (table.batch_size, table.max_rejected_rows) == (1000, 10_000)
    assert (table.late_rows, table.lookback, table.max_skew) == (LateRows.LOSSLESS, 300.0, 10.0)
    assert (table.audit_every, table.load, table.max_rows_per_load) == (3600.0, LoadMethod.AUTO, 1_000_000)
    assert (table.where, table.enabled, table.watermark_timezone) == (None, True, None)
    assert (table.columns.include, table.columns.exclude, table.columns.rename) == ((), (), {})


def test_the_default_batch_size_reaches_tables_and_defaults_go_before_it() -> None:
    config = parse(
        """
        default_batch_size: 7
        defaults: {batch_size: 8, max_rejected_rows: 5, pk: [a, b], watermark_column: changed}
        tables:
          - {source: one, target: one}
          - {source: two, target: two, batch_size: 9, pk: id, max_rejected_rows: 0}
        """
    )
    first, second = config.tables
    assert (first.batch_size, first.max_rejected_rows, first.pk) == (8, 5, ("a", "b"))
    assert (second.batch_size, second.max_rejected_rows, second.pk) == (9, 0, ("id",))
    assert first.watermark_column == second.watermark_column == "changed"
    assert config.warnings == ()


def test_a_top_level_default_of_old_still_holds_with_a_warning() -> None:
    text = """
        max_rejected_rows: 5
        {}
        tables: [{{source: one, target: one, watermark_column: changed}}]
        """
    config = parse(text.format(""))
    assert config.tables[0].max_rejected_rows == 5
    assert config.warnings == (
        "sync_config.yaml: max_rejected_rows: is deprecated at the top level — write it under `defaults:`",
    )
    both = parse(text.format("defaults: {max_rejected_rows: 6}"))
    assert both.tables[0].max_rejected_rows == 6
    with pytest.raises(ConfigError, match="max_rejected_rows: -1 is too small"):
        parse(text.format("").replace("5", "-1"))


def test_a_table_s_own_key_replaces_that_of_defaults_whole() -> None:
    config = parse(
        """
        defaults: {columns: {exclude: [x], rename: {y: z}}, pk: id, watermark_column: u}
        tables: [{source: a, target: b, columns: {exclude: [w]}}]
        """
    )
    assert config.tables[0].columns.exclude == ("w",)
    assert config.tables[0].columns.rename == {}


def test_a_bare_off_is_late_rows_off_although_yaml_reads_it_as_false() -> None:
    text = "tables: [{source: a, target: b, pk: id, watermark_column: u, late_rows: off}]"
    assert yaml.safe_load(text)["tables"][0]["late_rows"] is False
    assert parse(text).tables[0].late_rows is LateRows.OFF


@pytest.mark.parametrize(("written", "seconds"), [("10m", 600.0), ("30s", 30.0), ("1h", 3600.0), (90, 90.0)])
def test_durations_are_text_or_seconds(written: object, seconds: float) -> None:
    assert one(lookback=written).lookback == seconds


def test_a_transform_is_a_function_s_name_or_a_mapping() -> None:
    assert one(transform="app.rows:clean").transform == TransformConfig(function="app.rows:clean")
    assert one(transform="app.rows.clean").transform.function == "app.rows.clean"
    table = one(transform={"mask": {"email": "all", "phone": {"keep_last": 4}}, "set_null": "note"})
    assert table.transform.mask == {"email": MaskRule(), "phone": MaskRule(keep_last=4)}
    assert table.transform.set_null == ("note",)
    assert one(transform={"mask": ["a", "b"]}).transform.mask == {"a": MaskRule(), "b": MaskRule()}


def test_sensitive_columns_are_those_hashed_masked_or_emptied() -> None:
    transform = one(
        transform={"hash": "a", "salt": "s", "mask": ["b"], "set_null": ["c"], "cast": {"d": "text"}}
    ).transform
    assert transform.sensitive == {"a", "b", "c"}


def test_the_salt_is_not_shown() -> None:
    config = parse_config(
        {
            "tables": [
                {
                    "source": "a",
                    "target": "b",
                    "pk": "id",
                    "watermark_column": "u",
                    "transform": {"hash": "x", "salt": "${SALT}"},
                }
            ]
        },
        file="f",
        env={"SALT": "hunter-two"},
    )
    transform = config.tables[0].transform
    assert transform is not None
    assert transform.salt is not None
    assert transform.salt.get_secret_value() == "hunter-two"
    for text in (repr(config), str(config), config.model_dump_json(), str(config.to_data())):
        assert "hunter-two" not in text


def test_variables_may_stand_for_numbers_and_switches() -> None:
    table = parse(
        "tables: [{source: '${T:-a}', target: b, pk: id, watermark_column: u, batch_size: '${N}', enabled: '${E}'}]",
        N="12",
        E="false",
    ).tables[0]
    assert (str(table.source), table.batch_size, table.enabled) == ("public.a", 12, False)


def test_a_doubled_dollar_is_a_literal_one() -> None:
    assert one(where="a = '$${X}'").where == "a = '${X}'"


def test_tables_are_selected_by_name_source_or_target() -> None:
    config = parse(PLAN)
    users, checkins = config.tables
    assert config.select(["public.users"]) == (users,)
    assert config.select(["users"]) == (users,)
    assert config.select(["ANALYTICS.CHECKINS", "users"]) == (users, checkins)
    assert config.select(None) == (users, checkins)
    assert config.table("public.users") is users


def test_a_disabled_table_runs_only_when_named() -> None:
    config = parse("tables: [{source: a, target: b, pk: id, watermark_column: u, enabled: false}]")
    assert config.select(None) == config.enabled == ()
    assert config.select(["a"]) == config.tables


def test_an_unknown_table_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(PLAN).select(["public.user", "nothing_like_it"])
    assert "no table 'public.user' is configured — did you mean public.users?" in caught.value.problems
    assert "public.users, public.checkins" in caught.value.advice
    with pytest.raises(ConfigError, match="nope"):
        parse(PLAN).table("nope")


@pytest.mark.parametrize("name", ["usres", "USER", "analytics.user", "Public.Users2", "publik.users"])
def test_a_misspelled_table_is_recognized_without_its_schema_and_in_any_case(name: str) -> None:
    with pytest.raises(ConfigError, match=r"did you mean public\.users\?"):
        parse(PLAN).select([name])


def test_an_error_does_not_list_a_hundred_tables() -> None:
    config = parse_config(
        {
            "defaults": {"mode": "full"},
            "tables": [{"source": f"t{n}", "target": f"t{n}"} for n in range(100)],
        },
        file="f.yaml",
        env={},
    )
    with pytest.raises(ConfigError) as caught:
        config.select(["nothing_like_it"])
    assert caught.value.advice.endswith("public.t19 and 80 more.")


def test_targets_that_become_one_with_the_settings_are_refused() -> None:
    config = parse(
        "defaults: {pk: id, watermark_column: u}\ntables: [{source: a, target: x}, {source: b, target: analytics.x}]"
    )
    config.check_targets(database="db", schema="public")
    with pytest.raises(ConfigError, match=r"public\.a and public\.b have the same target DB\.ANALYTICS\.X"):
        config.check_targets(database="db", schema="analytics")


def test_values_are_frozen() -> None:
    config = parse(PLAN)
    with pytest.raises(ValueError, match="frozen"):
        config.tables[0].batch_size = 1
