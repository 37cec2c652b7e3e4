"""Everything wrong is told at once, each with file, key path and fix."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import ConfigError

TABLE = {"source": "public.a", "target": "s.a", "pk": "id", "watermark_column": "u"}


def problems(data: Any, env: dict[str, str] | None = None, **more: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, file="f.yaml", env=env or {}, **more)
    return caught.value.problems


def of_table(**keys: Any) -> tuple[str, ...]:
    return problems({"tables": [{**TABLE, **keys}]})


BAD_KEYS = [
    ({"pk": []}, "tables[0].pk: is empty"),
    ({"pk": 5}, "tables[0].pk: 5 is not a column name"),
    ({"pk": ["a", "a"]}, "tables[0].pk: a is named twice"),
    ({"pk": ["a", True]}, "tables[0].pk: true (in YAML"),
    ({"source": "a.b.c"}, "tables[0].source: 'a.b.c' is not a table's name"),
    ({"source": 1}, "tables[0].source: 1 is not text"),
    ({"source": "a" * 64}, "tables[0].source: is longer than 63 characters"),
    ({"target": "a.b.c.d"}, "tables[0].target: 'a.b.c.d' is not a table's name"),
    ({"target": "a b"}, "tables[0].target: 'a b' is not a table's name"),
    ({"mode": "fast"}, "tables[0].mode: 'fast' is not known — write watermark, xmin, full, append, log"),
    ({"every": "often"}, "tables[0].every: 'often'"),
    ({"audit_columns": "no"}, "tables[0].audit_columns: 'no' is not true or false"),
    ({"watermark_column": ""}, "tables[0].watermark_column: is empty"),
    ({"watermark_timezone": "Mars/Base"}, "tables[0].watermark_timezone: 'Mars/Base' is not a time zone"),
    ({"batch_size": 0}, "tables[0].batch_size: 0 is too small — write at least 1"),
    ({"batch_size": -1}, "tables[0].batch_size: -1 is too small"),
    ({"batch_size": "500"}, "tables[0].batch_size: '500' is not a whole number"),
    ({"batch_size": 1.5}, "tables[0].batch_size: 1.5 is not a whole number"),
    ({"batch_size": True}, "tables[0].batch_size: true (in YAML"),
    ({"enabled": 1}, "tables[0].enabled: 1 is not true or false"),
    ({"enabled": "no"}, "tables[0].enabled: 'no' is not true or false"),
    (
        {"late_rows": "sometimes"},
        "tables[0].late_rows: 'sometimes' is not known — write lossless, lookback, off",
    ),
    ({"late_rows": True}, "tables[0].late_rows: true (in YAML"),
    ({"load": False}, "tables[0].load: false (in YAML"),
    ({"lookback": "ten minutes"}, "tables[0].lookback: 'ten minutes': not a duration"),
    ({"max_skew": -1}, "tables[0].max_skew: -1: a duration cannot be negative"),
    ({"audit_every": float("inf")}, "tables[0].audit_every: inf: a duration cannot be negative or infinite"),
    ({"where": ["x"]}, "tables[0].where: a list is not text"),
    ({"load_when_rows": 5}, "tables[0].load_when_rows: needs `load_every:`"),
    ({"insert_only": True, "mode": "append"}, "tables[0].insert_only: cannot be used with mode append"),
    ({"insert_only": True, "late_rows": False}, "tables[0].insert_only: needs `late_rows: lossless`"),
    ({"live_view": True}, "tables[0].live_view: needs rows that wait to be loaded — add `load_every:`"),
    ({"live_view": True, "mode": "full"}, "tables[0].live_view: cannot be used with mode full"),
    (
        {"live_view": True, "load_every": "1h", "load_via": "table"},
        "tables[0].live_view: reads the files itself, so it cannot be used with `load_via: table`",
    ),
    ({"insert_only": True, "load": "insert"}, "tables[0].insert_only: needs files in a stage"),
    ({"load_when_mb": 5}, "tables[0].load_when_mb: needs `load_every:`"),
    (
        {"mode": "log", "every": "1h"},
        "tables[0].every: cannot be used with mode log: the log is read once for all",
    ),
    (
        {"mode": "log", "late_rows": False},
        "tables[0].late_rows: cannot be used with mode log: it misses no row",
    ),
    ({"mode": "log", "insert_only": True}, "tables[0].insert_only: cannot be used with mode log"),
    (
        {"mode": "log", "load": "insert"},
        "tables[0].load: cannot be used with mode log: its changes are staged",
    ),
    (
        {"mode": "log", "live_view": True, "load_every": "1h"},
        "tables[0].live_view: cannot be used with mode log",
    ),
    (
        {"mode": "log", "transform": "m:f"},
        "tables[0].transform: cannot be used with mode log: the log leaves out",
    ),
    (
        {"mode": "log", "transform": {"hash": "id", "salt": "s"}},
        "tables[0].transform.hash: cannot be used with mode log: id belongs to pk",
    ),
    ({"load_every": "10m", "mode": "full"}, "tables[0].load_every: cannot be used with mode full"),
    ({"load_every": "10m", "mode": "append"}, "tables[0].load_every: cannot be used with mode append"),
    ({"load_every": "10m", "load": "insert"}, "tables[0].load_every: needs files in a stage"),
    ({"load_every": "rarely", "mode": "full"}, "tables[0].load_every: 'rarely': not a duration"),
    ({"columns": "id"}, "tables[0].columns: is not a mapping"),
    ({"columns": {"inclde": ["a"]}}, "tables[0].columns.inclde: is not a known key — did you mean include?"),
    ({"columns": {"rename": {"a": 1}}}, "tables[0].columns.rename: 1 is not text"),
    ({"columns": {"exclude": "id"}}, "tables[0].columns.exclude: id belongs to pk"),
    ({"columns": {"exclude": "b", "include": "b"}}, "tables[0].columns.exclude: b is also included"),
    ({"columns": {"exclude": "b", "rename": {"b": "c"}}}, "tables[0].columns.rename: b is excluded"),
    ({"on_overflow": "clip"}, "tables[0].on_overflow: 'clip' is not known — write reject, null, text"),
    ({"on_overflow": 1}, "tables[0].on_overflow: 1 is not known"),
    ({"columns": {"on_overflow": "null"}}, "tables[0].columns.on_overflow: 'null' is not a mapping"),
    ({"columns": {"on_overflow": {"a": "clip"}}}, "tables[0].columns.on_overflow: 'clip' is not known"),
    ({"columns": {"on_overflow": {"id": "clamp"}}}, "tables[0].columns.on_overflow: id belongs to pk"),
    ({"columns": {"on_overflow": {"id": None}}}, "tables[0].columns.on_overflow: id belongs to pk"),
    (
        {"columns": {"exclude": "b", "on_overflow": {"b": "text"}}},
        "tables[0].columns.on_overflow: b is excluded",
    ),
    ({"transform": 5}, "tables[0].transform: is not a mapping"),
    ({"transform": "no function"}, "tables[0].transform.function: 'no function' does not name a function"),
    ({"transform": {"hash": "a"}}, "tables[0].transform.salt: is missing, and hash needs it"),
    ({"transform": {"hash": "a", "salt": ""}}, "tables[0].transform.salt: is not text or is empty"),
    ({"transform": {"mask": {"a": "some"}}}, "tables[0].transform.mask.a: 'some' is not a mask"),
    (
        {"transform": {"mask": {"a": {"keep_last": -4}}}},
        "tables[0].transform.mask.a.keep_last: -4 is too small",
    ),
    ({"transform": {"mask": {"id": "all"}}}, "tables[0].transform.mask: id belongs to pk"),
    ({"transform": {"set_null": "id"}}, "tables[0].transform.set_null: id belongs to pk"),
    (
        {"transform": {"mask": "a", "set_null": "a"}},
        "tables[0].transform: a is in two of hash, mask and set_null",
    ),
    ({"transform": {"mask": "a", "cast": {"a": "int"}}}, "tables[0].transform.cast: a is hashed or masked"),
    ({"transform": {"adds": {"n": "int"}}}, "tables[0].transform.adds: needs a function"),
    (
        {"columns": {"rename": {"a": "b"}}, "transform": {"rename": {"a": "c"}}},
        "tables[0].transform.rename: a is renamed under columns too",
    ),
    ({"primary_key": "id"}, "tables[0].primary_key: is not a known key — did you mean pk?"),
    ({"wher": "x"}, "tables[0].wher: is not a known key — did you mean where?"),
    ({"zzz": 1}, "tables[0].zzz: is not a known key — remove it, or use one of"),
]


@pytest.mark.parametrize(("keys", "expected"), BAD_KEYS, ids=[expected for _, expected in BAD_KEYS])
def test_a_bad_key_is_told_with_its_path_and_fix(keys: dict[str, Any], expected: str) -> None:
    (found,) = of_table(**keys)
    assert found.startswith(f"f.yaml: {expected}")
    assert " — " in found


@pytest.mark.parametrize("missing", ["source", "target", "watermark_column"])
def test_a_missing_key_is_told(missing: str) -> None:
    table = {key: value for key, value in TABLE.items() if key != missing}
    (found,) = problems({"tables": [table]})
    assert found.startswith(f"f.yaml: tables[0].{missing}: is missing — name the ")


@pytest.mark.parametrize("mode", ["xmin", "full", "append"])
def test_only_the_watermark_mode_needs_a_watermark_and_none_needs_a_pk(mode: str) -> None:
    table = {"source": "public.a", "target": "s.a"}
    (found,) = problems({"tables": [table]})
    assert "`mode: xmin`" in found
    config = parse_config({"tables": [{**table, "mode": mode, "every": "1h"}]}, file="f.yaml", env={})
    assert (config.tables[0].mode, config.tables[0].every, config.tables[0].pk) == (mode, 3600, None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], "f.yaml: is not a mapping"),
        ("text", "f.yaml: is not a mapping"),
        ({}, "f.yaml: tables: names no table"),
        ({"tables": []}, "f.yaml: tables: names no table"),
        ({"tables": "users"}, "f.yaml: tables: names no table"),
        ({"tables": ["users"]}, "f.yaml: tables[0]: is not a mapping"),
        ({"tables": [TABLE], "sync_interval_seconds": 0}, "f.yaml: sync_interval_seconds: 0 is too small"),
        ({"tables": [TABLE], "parallel_tables": "4"}, "f.yaml: parallel_tables: '4' is not a whole number"),
        (
            {"tables": [TABLE], "batch_size": 5},
            "f.yaml: batch_size: is not a known key — did you mean default_",
        ),
        ({"tables": [TABLE], "default_batch_size": 0}, "f.yaml: default_batch_size: 0 is too small"),
        ({"tables": [TABLE], "max_retained_wal": "much"}, "f.yaml: max_retained_wal: 'much' is not a size"),
        ({"tables": [TABLE], "max_retained_wal": 0.5}, "f.yaml: max_retained_wal: 0.5 is not a size"),
        ({"tables": [TABLE], "log_slot": "My-Slot"}, "f.yaml: log_slot: 'My-Slot' is not a slot's name"),
        ({"tables": [TABLE], "log_reader": "fast"}, "f.yaml: log_reader: 'fast' is not known"),
        (
            {"tables": [{**TABLE, "mode": "log", "load_every": "1h"}], "consistency": "tick"},
            "f.yaml: tables[0].load_every: lets rows wait, so that tables could not change together",
        ),
        ({"tables": [TABLE], "defaults": 5}, "f.yaml: defaults: is not a mapping"),
        (
            {"tables": [TABLE], "defaults": {"batch_size": "x"}},
            "f.yaml: defaults.batch_size: 'x' is not a whole",
        ),
        ({"tables": [TABLE], "defaults": {"source": "x"}}, "f.yaml: defaults.source: is not a known key"),
    ],
)
def test_a_bad_file_is_told_once(data: Any, expected: str) -> None:
    (found,) = problems(data)
    assert found.startswith(expected)


def test_all_problems_come_at_once() -> None:
    """Of every table, of every kind: types, keys, variables, and what must hold between tables."""
    found = problems(
        {
            "parallel_tables": 0,
            "tables": [
                {**TABLE, "pk": [], "lookback": "x"},
                {"source": "A", "target": "S.A", "watermark_column": "${COLUMN}"},
                {**TABLE, "source": "b", "name": "public.a", "target": "c", "typo": 1},
            ],
        }
    )
    paths = {problem.split(": ")[1] for problem in found}
    assert paths == {
        "parallel_tables",
        "tables[0].pk",
        "tables[0].lookback",
        "tables[1].watermark_column",
        "tables[1].source",
        "tables[1].target",
        "tables[2].name",
        "tables[2].typo",
    }


@pytest.mark.parametrize("same", ["s.a", "S.A", "s.A", '"S"."A"'])
def test_targets_are_compared_as_snowflake_folds_them(same: str) -> None:
    found = problems({"tables": [TABLE, {**TABLE, "source": "b", "target": same}]})
    assert found == ("f.yaml: tables[1].target: is also the target of tables[0] — change one of them",)


def test_a_quoted_target_of_another_case_is_another_table() -> None:
    parse_config({"tables": [TABLE, {**TABLE, "source": "b", "target": 's."a"'}]}, file="f", env={})


def test_one_source_may_have_two_targets_under_two_names() -> None:
    config = parse_config(
        {"tables": [TABLE, {**TABLE, "name": "again", "target": "other"}]}, file="f", env={}
    )
    assert [table.name for table in config.tables] == ["public.a", "again"]


def test_a_missing_variable_is_told_by_file_and_key() -> None:
    found = problems({"tables": [{**TABLE, "target": "${WHERE_TO}.a"}]})
    assert found[0].startswith("f.yaml: tables[0].target: ${WHERE_TO} is not set — set WHERE_TO")


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "x ${A"])
def test_a_malformed_reference_is_told(text: str) -> None:
    found = problems({"tables": [{**TABLE, "where": text}]}, env={"A": "x"})
    assert "is not a reference" in found[0]


def test_values_from_the_environment_are_not_shown() -> None:
    """They may be secrets that landed in the wrong key."""
    found = problems(
        {
            "tables": [
                {
                    **TABLE,
                    "batch_size": "${OOPS}",
                    "source": "${OOPS}",
                    "load": "${OOPS}",
                    "lookback": "${OOPS}",
                }
            ]
        },
        env={"OOPS": "hunter two"},
    )
    assert len(found) == 4
    assert "hunter" not in str(found)
    assert all("${OOPS}" in problem for problem in found)


def test_lines_are_told_where_known() -> None:
    lines = {("tables",): 1, ("tables", 0): 2, ("tables", 0, "pk"): 5}
    found = problems({"tables": [{**TABLE, "pk": [], "lookback": "x"}]}, lines=lines)
    assert found[0].startswith("f.yaml:2: tables[0].lookback: ")
    assert found[1].startswith("f.yaml:5: tables[0].pk: ")
