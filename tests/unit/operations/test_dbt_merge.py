"""Generated sources are added to what people wrote in sources.yml, to the letter."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import ConfigError
from pgsnow.operations.dbt.merge import merged
from tests.examples import examples


def source(*tables: dict[str, Any], name: str = "analytics") -> dict[str, Any]:
    return {"version": 2, "sources": [{"name": name, "database": "db", "schema": name, "tables": [*tables]}]}


def table(name: str, *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"about {name}", **more, "columns": [*columns]}


def column(name: str, kind: str = "varchar", **more: Any) -> dict[str, Any]:
    return {"name": name, "data_type": kind, **more}


USERS = table("users", column("id", "number(38,0)", data_tests=["unique", "not_null"]), column("email"))
WRITTEN = """\
# Our sources. Ask Ann before you change them.
version: 2

sources:
  - name: other
    tables:
      - name: events   # not ours
  - name: analytics
    description: >
      Written by Ann,
      in two lines.
    meta: {owner: ann}
    tables:
      - name: USERS
        description: "People who {{ doc('signed_up') }}"   # keep
        columns:
          - name: id
            data_type: number(10,0)
            tests: [unique, {relationships: {to: ref('x'), field: id}}]
            meta:
              pii: false

          # The address
          - {name: email, description: Address}

exposures: []
"""


def test_a_new_file_has_everything_and_a_second_time_changes_nothing() -> None:
    """The command may be run at every deploy; `--check` is green right after it."""
    made = source(USERS, table("orders", column("id")))
    text = merged("", made, file="s.yml")
    assert yaml.safe_load(text) == made
    assert text.startswith("# Sources of dbt")
    assert merged(text, made, file="s.yml") == text


def test_what_a_person_wrote_stays_to_the_letter() -> None:
    """Comments, descriptions, tests, meta, other sources, blank lines and the order stay; new entries are inserted."""
    made = source(table("users", *USERS["columns"], column("born", "date")), table("orders", column("id")))
    text = merged(WRITTEN, made, file="s.yml")
    kept = [line for line in WRITTEN.splitlines() if line not in text.splitlines()]
    assert kept == [
        "            data_type: number(10,0)",
        "            tests: [unique, {relationships: {to: ref('x'), field: id}}]",
        "          - {name: email, description: Address}",
    ]
    found = yaml.safe_load(text)["sources"][1]
    users, orders = found["tables"]
    assert [one["name"] for one in users["columns"]] == ["id", "email", "born"]
    assert users["columns"][0] == {
        "name": "id",
        "data_type": "number(38,0)",
        "tests": ["unique", {"relationships": {"to": "ref('x')", "field": "id"}}, "not_null"],
        "meta": {"pii": False},
    }
    assert users["columns"][1] == {"name": "email", "description": "Address", "data_type": "varchar"}
    assert orders["columns"] == [{"name": "id", "data_type": "varchar"}]
    assert (found["database"], found["description"]) == ("db", "Written by Ann, in two lines.\n")
    assert yaml.safe_load(text)["sources"][0] == {"name": "other", "tables": [{"name": "events"}]}
    assert merged(text, made, file="s.yml") == text


@pytest.mark.parametrize(
    "text",
    [
        "sources:\n",
        "version: 2\nsources: []\n",
        "sources:\n- name: analytics\n  tables:\n",
        "sources:\n- name: analytics\n  description:\n  tables:\n  - name: users\n    columns:",
        "sources:\n- name: analytics\n  tables:\n  - name: users\n    description: |\n      Some\n\n      text.\n",
        "sources: [{name: analytics, tables: [{name: users, columns: []}]}]\n",
        '{"sources": [{"name": "Analytics", "tables": []}]}\n',
        "# only a comment\n",
    ],
)
def test_each_way_of_writing_is_completed(text: str) -> None:
    """Empty lists, no lists, JSON, no newline at the end: the result has everything, once."""
    made = source(USERS)
    after = merged(text, made, file="s.yml")
    [found] = yaml.safe_load(after)["sources"]
    [users] = found["tables"]
    assert [one["name"] for one in users["columns"]] == ["id", "email"]
    assert users["columns"][0]["data_tests"] == ["unique", "not_null"]
    assert merged(after, made, file="s.yml") == after


def test_a_file_of_windows_stays_one() -> None:
    """Git would show every line as changed."""
    after = merged(WRITTEN.replace("\n", "\r\n"), source(USERS), file="s.yml")
    assert after.replace("\r\n", "\n") == merged(WRITTEN, source(USERS), file="s.yml")
    assert after.count("\n") == after.count("\r\n")
    assert merged(after, source(USERS), file="s.yml") == after


def test_an_empty_list_is_filled_with_one_entry_a_line() -> None:
    """Nobody can edit thousand columns in one line."""
    after = merged("version: 2\nsources: []\n", source(USERS), file="s.yml")
    assert after.startswith("version: 2\nsources:\n  - name: analytics\n")
    assert max(map(len, after.splitlines())) < 60
    inside = merged(
        "sources:\n  - name: analytics\n    tables: []  # none yet\n", source(USERS), file="s.yml"
    )
    assert "# none yet" in inside


@pytest.mark.parametrize(
    "text", ["[1, 2]\n", "a: [\n", "sources: text\n", "sources: {a: 1}\n", "day: 2024-13-01\nsources: []\n"]
)
def test_a_file_that_is_none_of_sources_is_refused(text: str) -> None:
    """The command overwrites no other file that a person names by mistake."""
    with pytest.raises(ConfigError, match=r"s\.yml"):
        merged(text, source(USERS), file="s.yml")


NAMES = st.sampled_from(["a", "B", "weird name", "ключ"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
COLUMNS = st.lists(
    st.builds(
        lambda name, kind, text, tests: column(name, kind, description=text, data_tests=tests),
        NAMES, st.sampled_from(["date", "varchar"]), TEXTS,
        st.lists(st.sampled_from(["unique", "not_null"]), unique=True),
    ),
    unique_by=lambda one: str(one["name"]).casefold(), max_size=3,
)  # fmt: skip
TABLES = st.lists(
    st.builds(lambda name, columns: table(name, *columns), NAMES, COLUMNS),
    unique_by=lambda one: str(one["name"]).casefold(), max_size=3,
)  # fmt: skip


@settings(max_examples=examples(20), deadline=None)
@given(TABLES, TABLES, st.sampled_from(["block", "flow", "json"]))
@example([], [table("a", column("a", "date", description=" ", data_tests=[]))], "block")
def test_a_merge_is_idempotent_and_loses_nothing(
    before: list[dict[str, Any]], made: list[dict[str, Any]], style: str
) -> None:
    """Whatever was there and whatever is made: all names are there, once; descriptions of before stay; a second merge
    changes nothing."""
    old, new = source(*before), source(*made)
    text = (
        json.dumps(old, ensure_ascii=False)
        if style == "json"
        else yaml.safe_dump(old, sort_keys=False, default_flow_style=style == "flow", allow_unicode=True)
    )
    after = merged(text, new, file="s.yml")
    assert merged(after, new, file="s.yml") == after
    [found] = yaml.safe_load(after)["sources"]
    tables = {one["name"]: one for one in found["tables"]}
    assert len(tables) == len(found["tables"]) == len({one["name"] for one in [*before, *made]})
    for each in before:
        columns = {one["name"]: one for one in tables[each["name"]]["columns"]}
        for one in each["columns"]:
            assert columns[one["name"]]["description"] == one["description"] or not one["description"]
            assert set(one["data_tests"]) <= set(columns[one["name"]]["data_tests"])
    for each in made:
        columns = {one["name"]: one for one in tables[each["name"]]["columns"]}
        for one in each["columns"]:
            assert columns[one["name"]]["data_type"] == one["data_type"]
            assert set(one["data_tests"]) <= set(columns[one["name"]]["data_tests"])


def test_plan_says_what_heartbeats_between_loads_cost() -> None:
    """Nobody turns on a key that wakes a warehouse all day without having seen the price."""
    from pgsnow.model.config.sync_config import parse_config
    from pgsnow.operations.plan.heartbeat import heartbeat_cost

    def cost(**keys: Any) -> str:
        entry = {"source": "public.t", "target": "s.t", "mode": "full"}
        return heartbeat_cost(parse_config({**keys, "tables": [entry]}, file="c.yaml", env={})) or ""

    assert cost(heartbeat_table=True) == cost(heartbeat_every="1h") == ""
    assert "up to 24 times a day" in cost(heartbeat_table=True, heartbeat_every="1h")
    assert "about 0.50 credits;" in cost(heartbeat_table=True, heartbeat_every="1h")
    dear = {"warehouse_size": "small", "auto_suspend_seconds": 600, "credit_price": 3}
    assert "about 8.21 credits (24.62);" in cost(heartbeat_table=True, heartbeat_every="1h", cost=dear)
    assert "about 24.00 credits;" in cost(
        heartbeat_table=True, heartbeat_every="1s", cost={"auto_suspend_seconds": 600}
    )
