"""A partition is detached, dropped or emptied.

Group: history
Danger: nobody deletes rows, so no counter of deleted rows moves; and a partition that is detached on purpose, to be
archived, looks like one that was dropped by mistake.
Answer: pgsnow remembers the partitions of a table and their files. With `deletes: hard` the rows leave Snowflake at the
next tick, with `deletes: soft` they are marked, and with `deletes: off` they leave if the partition is detached or
dropped, and stay if it is emptied. With `on_detach: keep` they stay, with `deletes: soft` marked. A partition that is
attached again brings its rows back. If a table has lost all its rows, a person must confirm that first.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.errors import ConfigError
from pgsnow.model.report import TableReport
from tests.world import MemoryWorld

ALWAYS = {"sweep_every": "1ms", "sweep_share": "100%"}
"""Each tick searches for deleted rows."""
CHANGES = {
    "detach": "alter table {t} detach partition {t}_1",
    "drop": "drop table {t}_1",
    "truncate": "truncate {t}_1",
}
GONE = {
    "hard": {"deletes": "hard"},
    "soft": {"deletes": "soft"},
    "off": {"deletes": "off"},
    "soft_keep": {"deletes": "soft", "on_detach": "keep"},
    "keep": {"on_detach": "keep"},
}
"""Configurations of a table."""
LEAVE, MARKED, STAY = "leave", "marked", "stay"
EXPECTED = {
    "hard": LEAVE,
    "soft": MARKED,
    "soft_keep": MARKED,
    "keep": STAY,
}
"""What becomes of the rows, whatever happens to their partition."""


def tick(world: MemoryWorld, **options: Any) -> dict[str, TableReport]:
    with world.engine() as engine:
        return {report.table: report for report in engine.tick(**options).tables}


def partitioned(world: MemoryWorld, name: str) -> None:
    """A table whose rows 1 to 3 are in one partition, and 11 to 13 in another."""
    world.sql(
        f"create table {name} (id int primary key, updated_at timestamptz not null default now())"
        f" partition by range (id);"
        f"create table {name}_1 partition of {name} for values from (1) to (10);"
        f"create table {name}_2 partition of {name} for values from (10) to (100);"
        f"insert into {name} select g from generate_series(1, 3) g;"
        f"insert into {name} select g from generate_series(11, 13) g"
    )


def entry(name: str, **options: Any) -> dict[str, Any]:
    return {
        "source": f"public.{name}", "name": name, "target": f"analytics.{name}", "pk": "id",
        "watermark_column": "updated_at", **ALWAYS, **options,
    }  # fmt: skip


def held(world: MemoryWorld, name: str) -> dict[int, bool]:
    """Each key of the target, and whether it is marked."""
    rows = world.target(f"analytics.{name}").rows
    return {row["ID"]: row.get("_PGSNOW_DELETED_AT") is not None for row in rows}


def test_what_becomes_of_its_rows(memory_world: MemoryWorld) -> None:
    """At the next tick, for each way in which a partition leaves and each configuration; nothing else changes. The last
    row of the table stays what it was."""
    world = memory_world
    names = [f"{config}_{change}" for config in GONE for change in CHANGES]
    for name in names:
        partitioned(world, name)
    world.tables = [entry(f"{config}_{change}", **GONE[config]) for config in GONE for change in CHANGES]
    assert all(report.ok for report in tick(world).values())
    for name in names:
        world.sql(CHANGES[name.rpartition("_")[2]].format(t=name))
    reports = tick(world)
    assert {name: report.error for name, report in reports.items() if not report.ok} == {}
    for name in names:
        config, _, change = name.rpartition("_")
        expected = EXPECTED.get(config) or (STAY if change == "truncate" else LEAVE)
        rows = dict.fromkeys((11, 12, 13), False)
        if expected != LEAVE:
            rows |= dict.fromkeys((1, 2, 3), expected == MARKED)
        assert held(world, name) == rows, name


def test_a_partition_that_is_attached_again_brings_its_rows_back(memory_world: MemoryWorld) -> None:
    """Their marks are taken off, though nothing wrote the rows."""
    world = memory_world
    partitioned(world, "days")
    world.tables = [entry("days", deletes="soft")]
    tick(world)
    world.sql("alter table days detach partition days_1")
    tick(world)
    assert held(world, "days") == {1: True, 2: True, 3: True, 11: False, 12: False, 13: False}
    world.sql("alter table days attach partition days_1 for values from (1) to (10)")
    tick(world)
    assert set(held(world, "days").values()) == {False}
    world.assert_equal()


@pytest.mark.parametrize("deletes", ["hard", "soft"])
def test_a_table_that_was_truncated_waits_for_a_person(memory_world: MemoryWorld, deletes: str) -> None:
    """Rows that are inserted afterwards are loaded meanwhile. Once it is confirmed, the rows leave, or are marked."""
    world = memory_world
    partitioned(world, "days")
    world.tables = [entry("days", deletes=deletes)]
    tick(world)
    world.sql("truncate days")
    report = tick(world)["days"]
    assert "pgsnow run --select days --confirm-deletes" in (report.advice or "")
    assert held(world, "days") == dict.fromkeys((1, 2, 3, 11, 12, 13), False)
    assert tick(world, tables=["days"], confirm_deletes=True)["days"].rows_deleted == 6
    marked = dict.fromkeys((1, 2, 3, 11, 12, 13), True)
    assert held(world, "days") == (marked if deletes == "soft" else {})
    world.assert_equal()


def test_keeping_and_deleting_exclude_each_other(memory_world: MemoryWorld) -> None:
    """`on_detach: keep` says that rows stay which `deletes: hard` would delete: one of them must go."""
    memory_world.tables = [entry("days", deletes="hard", on_detach="keep")]
    with pytest.raises(ConfigError, match="on_detach"):
        _ = memory_world.config
