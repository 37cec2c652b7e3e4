"""The sources of a dbt project, made from real tables."""

from __future__ import annotations

from typing import Any

import yaml

from pgsnow.operations.dbt.write import dbt_sources
from tests.world import MemoryWorld

TABLES = """
comment on table users is 'People who have signed up. {{ not(jinja) }}';
comment on column users.name is 'Full name';
create table "Line Items" (a int, b int, "order" text not null, primary key (a, b));
"""


def test_sources_have_types_descriptions_and_tests_of_keys(memory_world: MemoryWorld) -> None:
    """A project has documented sources after one command, and its tests hold: a key of two columns is not unique in
    each of them, names that need quotes have them, soft deletes are explained, and a comment is no template."""
    memory_world.sql(TABLES)
    memory_world.tables[0] |= {"deletes": "soft", "columns": {"rename": {"name": "full_name"}}}
    memory_world.tables += [
        {"source": 'public."Line Items"', "target": 'analytics."Line Items"', "mode": "xmin"},
        {"source": "public.gone", "target": "analytics.gone", "mode": "full"},
    ]
    found, errors = dbt_sources(memory_world.config, memory_world.settings)
    [source] = found["sources"]
    assert (source["name"], source["database"], source["schema"]) == ("analytics", "none", "analytics")
    users, items = source["tables"]
    columns = {one["name"]: one for one in users["columns"]}
    assert users["name"] == "users"
    assert users["description"].startswith(
        "People who have signed up. { { not(jinja) }} Synced from public.users by pgsnow."
    )
    assert "_pgsnow_deleted_at is null" in users["description"]
    assert columns["id"] == {"name": "id", "data_type": "number(38,0)", "data_tests": ["unique", "not_null"]}
    assert columns["full_name"] == {"name": "full_name", "description": "Full name", "data_type": "varchar"}
    assert columns["updated_at"]["data_tests"] == ["not_null"]
    assert columns["_pgsnow_deleted_at"]["data_type"] == "timestamp_tz"
    assert (items["identifier"], items["quoting"]) == ("Line Items", {"identifier": True})
    tests: dict[str, Any] = {one["name"]: one.get("data_tests") for one in items["columns"]}
    assert {name: test for name, test in tests.items() if not name.startswith("_pgsnow")} == {
        "a": ["not_null"], "b": ["not_null"], "ORDER": ["not_null"],
    }  # fmt: skip
    assert [one["name"] for one in items["columns"] if one.get("quote")] == ["ORDER"]
    assert list(errors) == ["public.gone"]
    assert "no such table" in errors["public.gone"]
    assert yaml.safe_load(yaml.safe_dump(found)) == found
    assert memory_world.warehouse.tables == {}
