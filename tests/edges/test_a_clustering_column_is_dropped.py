"""A column of the source that `cluster_by` names is dropped.

Group: target
Danger: The configuration names a column that does not exist, and the table stops though its rows can be loaded. With
`on_drop: drop`, Snowflake refuses to drop a column of a clustering key.
Answer: Rows are loaded as before. The target keeps the column and its clustering; the report of the run, `plan` and
`check` say so until the list is changed. A name that never was a column stops the first run, as a mistake.
"""

from __future__ import annotations

import pytest

from pgsnow.model.report import TableReport
from tests.world import MemoryWorld


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    return report


@pytest.mark.parametrize("on_drop", ["keep", "drop"])
def test_rows_are_loaded_and_the_report_says_what_to_change(memory_world: MemoryWorld, on_drop: str) -> None:
    """The run that finds the drop reports it; later ones only load."""
    world = memory_world
    world.tables[0] |= {"cluster_by": ["balance", "id"], "on_drop": on_drop}
    world.sql("insert into users (id, name) values (1, 'a')")
    assert tick(world).ok
    world.sql("alter table users drop column balance")
    world.sql("insert into users (id, name) values (2, 'b')")
    report = tick(world)
    assert report.ok, report.error
    assert any("until cluster_by in sync_config.yaml names balance no longer" in e for e in report.events)
    assert "BALANCE" in world.target().columns
    world.sql("insert into users (id, name) values (3, 'c')")
    world.close_engine()
    report = tick(world)
    assert (report.ok, report.events, len(world.target().rows)) == (True, (), 3)
    world.tables[0]["cluster_by"] = ["balanc", "id"]
    assert tick(world).ok


def test_a_name_that_never_was_a_column_is_a_mistake(memory_world: MemoryWorld) -> None:
    """The first run stops before anything is created."""
    memory_world.tables[0]["cluster_by"] = "balanc"
    assert "cluster_by names balanc" in str(tick(memory_world).error)
