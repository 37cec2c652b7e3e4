"""Rows that disappear or come back with a whole partition, with a truncated table, or under sums that are equal."""

from __future__ import annotations

import pytest

from tests.world import MemoryWorld

AT_ONCE = {"sweep_every": "1ms", "sweep_share": "100%"}
TREE = """
create table parts (id int, region int, updated_at timestamptz not null default now(), primary key (id, region))
partition by list (region);
create table parts_1 partition of parts for values in (1);
create table parts_2 partition of parts for values in (2);
insert into parts select g, 1 + g % 2 from generate_series(1, 10) g;
"""
EXCHANGE = """
create table other (like parts_2 including all);
insert into other select id, region, updated_at from parts_2 where id <> 5;
alter table parts detach partition parts_2;
alter table parts attach partition other for values in (2);
"""
BACK = "alter table parts attach partition parts_2 for values in (2)"


def settle(world: MemoryWorld) -> None:
    """Two ticks, after which both sides must be equal."""
    for _ in range(2):
        with world.engine() as engine:
            report = engine.tick()
        assert not report.failures, [table.error for table in report.failures]
    world.assert_equal()


@pytest.fixture
def tree(memory_world: MemoryWorld) -> MemoryWorld:
    """A partitioned table, loaded."""
    memory_world.sql(TREE)
    memory_world.tables = [
        {
            "source": "public.parts", "target": "analytics.parts", "pk": ["id", "region"],
            "watermark_column": "updated_at", **AT_ONCE,
        }
    ]  # fmt: skip
    settle(memory_world)
    return memory_world


@pytest.mark.parametrize(
    "change",
    [
        "alter table parts detach partition parts_2",
        f"alter table parts detach partition parts_2; delete from parts_2 where id = 3; {BACK}",
        "update parts set region = 3 - region, updated_at = now() where id <= 4",
        EXCHANGE,
    ],
    ids=["detached", "detached, changed and attached again", "rows are moved", "exchanged for another table"],
)
def test_rows_of_partitions_that_come_and_go(tree: MemoryWorld, change: str) -> None:
    """Whatever their timestamps are, rows leave with their partition and return with it."""
    tree.sql(change)
    settle(tree)
    if change.endswith("detach partition parts_2"):
        tree.sql(BACK)
        settle(tree)


@pytest.mark.parametrize("age", ["now()", "now() - interval '1 day'"])
def test_a_table_that_is_truncated_and_filled_in_one_transaction(memory_world: MemoryWorld, age: str) -> None:
    """Old keys that are not there again are deleted, and new ones are loaded though their timestamps are old."""
    memory_world.tables[0] |= {"sweep_share": "100%"}
    memory_world.sql("insert into users select g, 'old' from generate_series(1, 5) g")
    settle(memory_world)
    memory_world.sql(
        "begin; truncate users; insert into users (id, name, updated_at)"
        f" select g, 'new', {age} from generate_series(3, 8) g; commit"
    )
    settle(memory_world)


def test_keys_are_exchanged_for_others_with_the_same_sum(memory_world: MemoryWorld) -> None:
    """1 and 4 are deleted, 2 and 3 inserted with timestamps that a plain read passes over (`late_rows: off`): the
    numbers of rows and the sums of the keys are equal, and both differences are found."""
    memory_world.tables[0] |= AT_ONCE | {"late_rows": "off"}
    memory_world.sql("insert into users select g, 'n' from unnest(array[1, 4, 10]) g")
    settle(memory_world)
    memory_world.sql("delete from users where id in (1, 4)")
    memory_world.sql(
        "insert into users (id, updated_at) select g, now() - interval '1 day' from unnest(array[2, 3]) g"
    )
    settle(memory_world)
