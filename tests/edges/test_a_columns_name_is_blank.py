"""A column's name is blank.

Group: keys
Danger: Postgres allows any character in a name. A table whose key or watermark has an unusual name cannot be
configured, though its other columns may have such names.
Answer: Every name that Postgres allows may be written in sync_config.yaml, in quotes where YAML needs them.
"""

from __future__ import annotations

import json

import pytest

from pgsnow.config.entry_text import scalar
from pgsnow.model.errors import ColumnMissing
from pgsnow.model.report import Status
from tests.world import World

NAMES = (" ", " id", "id ", "a\nb", "ж" * 31, '"', "a.b", "x%y", "{k}")


def test_names_of_any_characters_serve_as_key_and_watermark(world: World) -> None:
    """In one table, whose every column has such a name; updates are merged, as the key is understood."""
    columns = ", ".join(f"{quoted(name)} int not null" for name in NAMES)
    world.source.execute(f'create table odd ({columns}, " at" timestamptz not null default now())'.encode())
    keys = ", ".join(map(quoted, NAMES))
    world.source.execute(f"alter table odd add primary key ({keys})".encode())
    world.source.execute(
        f"insert into odd select {', '.join('g' for _ in NAMES)} from generate_series(1, 3) g".encode()
    )
    world.tables = [
        {"source": "public.odd", "target": "analytics.odd", "pk": list(NAMES), "watermark_column": " at"}
    ]
    with world.engine() as engine:
        assert engine.tick().tables[0].error is None
        world.sql('update odd set " at" = now()')
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()


@pytest.mark.parametrize("name", NAMES)
def test_discovery_writes_a_name_as_yaml_that_reads_back(name: str) -> None:
    import yaml

    assert yaml.safe_load(f"pk: {scalar(name)}") == {"pk": name}
    assert yaml.safe_load(f"pk: {json.dumps(name, ensure_ascii=False)}") == {"pk": name}


def test_a_message_shows_blanks_in_a_name(memory_world: World) -> None:
    """`no column id ; it has id` would be a riddle."""
    memory_world.tables[0]["pk"] = "id "
    with memory_world.engine() as engine:
        report = engine.tick().tables[0]
    assert report.error_type == ColumnMissing.__name__
    assert 'no column "id "; it has id,' in (report.error or "")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
