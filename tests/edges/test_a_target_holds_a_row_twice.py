"""A target holds a row twice.

Group: target
Danger: a COPY whose answer was lost commits late, or a person inserts rows. A key then has two rows, every
later MERGE updates both, and sums over the table are too high, without a word.
Answer: a MERGE that updates more rows than it was given removes the duplicates and says so; so do a full refresh and a
resync. `pgsnow verify` counts them, and `pgsnow resync TABLE --duplicates-only` removes them and nothing else.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.report import Status, TableReport
from pgsnow.testing.warehouse import MemoryTable
from tests.world import MemoryWorld, World

REMOVED = "removed 2 duplicate rows: the target had more than one row of a key"
LOG = {"source": "public.log", "target": "analytics.log"}


def tick(world: World, **options: Any) -> TableReport:
    with world.engine() as engine:
        return engine.tick(**options).tables[0]


@pytest.fixture
def doubled(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users are loaded. Then the rows of two of them are there again, as an earlier attempt read them."""
    memory_world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    assert tick(memory_world).status is Status.OK
    users = memory_world.target()
    users.rows += [
        {**row, "NAME": "old", FENCE_COLUMN: row[FENCE_COLUMN] - 1} for row in users.rows if row["ID"] <= 2
    ]
    return memory_world


@pytest.mark.parametrize(
    ("options", "chunks"),
    [
        ({"full_refresh": True}, False),
        ({"full_refresh": True}, True),
        ({"resync": True}, False),
        ({"resync": True}, True),
        ({"reread": True}, False),
    ],
)
def test_reading_everything_leaves_each_key_once(
    doubled: MemoryWorld, options: dict[str, bool], chunks: bool
) -> None:
    """On every way to load, also where nothing has changed in the source."""
    if chunks:
        doubled.sql("insert into users select g, repeat('x', 500) from generate_series(11, 400) g")
        doubled.tables[0] |= {"max_mb_per_chunk": 0.04}
    assert tick(doubled, **options).status is Status.OK
    doubled.assert_equal()


def test_a_merge_that_updates_both_rows_removes_one_and_says_so(doubled: MemoryWorld) -> None:
    """An ordinary tick, which happens to change one of the two users."""
    doubled.sql("update users set name = 'new', updated_at = clock_timestamp() where id = 1")
    assert REMOVED in tick(doubled).events
    doubled.assert_equal()


def test_staged_rows_that_are_merged_later_remove_duplicates_too(doubled: MemoryWorld) -> None:
    """With `load_every`, at the tick that loads."""
    doubled.tables[0] |= {"load_every": "1h"}
    doubled.sql("update users set name = 'new', updated_at = clock_timestamp() where id = 1")
    tick(doubled)
    assert REMOVED in tick(doubled, load=True).events
    doubled.assert_equal()


def test_duplicates_alone_are_removed_and_the_newest_row_stays(doubled: MemoryWorld) -> None:
    """A row that the source has lost, or not loaded yet, stays as it is: nothing is read."""
    doubled.sql("delete from users where id = 10; insert into users values (11, 'later')")
    report = tick(doubled, duplicates_only=True)
    assert (report.status, report.rows_read) == (Status.IDLE, 0)
    assert report.events == (REMOVED,)
    rows = doubled.target().rows
    assert sorted(row["ID"] for row in rows) == list(range(1, 11))
    assert "old" not in {row["NAME"] for row in rows}
    assert tick(doubled, duplicates_only=True).events == ()


def test_rows_without_a_key_have_their_identity(memory_world: MemoryWorld) -> None:
    """`mode: append`: equal rows of the source stay, and so do rows that it has deleted; only a row with the identity
    of another goes."""
    memory_world.sql("create table log (n int); insert into log values (1), (1), (2)")
    memory_world.tables = [{**LOG, "mode": "append"}]
    tick(memory_world)
    memory_world.sql("delete from log where n = 2")
    log = memory_world.target("analytics.log")
    log.rows += [dict(row) for row in log.rows if row["N"] == 1]
    assert REMOVED in tick(memory_world, duplicates_only=True).events
    assert sorted(row["N"] for row in log.rows) == [1, 1, 2]
    log.rows += [dict(row) for row in log.rows if row["N"] == 1]
    assert REMOVED in tick(memory_world, reread=True).events
    assert sorted(row["N"] for row in log.rows) == [1, 1, 2]


def test_a_table_without_any_identity_says_what_replaces_its_content(memory_world: MemoryWorld) -> None:
    """`mode: full` without a key: no row can be called the duplicate of another."""
    memory_world.sql("create table log (n int); insert into log values (1), (1)")
    memory_world.tables = [{**LOG, "mode": "full"}]
    tick(memory_world)
    report = tick(memory_world, duplicates_only=True)
    assert report.error_type == "KeyUnusable"
    assert report.advice == "pgsnow run --select public.log --full-refresh replaces the whole content."


@given(st.lists(st.tuples(st.integers(1, 4), st.one_of(st.none(), st.integers(1, 9))), max_size=12))
def test_of_each_key_the_row_of_the_newest_run_stays(rows: list[tuple[int, int | None]]) -> None:
    """Whatever is there: one row per key, and none with a higher fence was removed."""
    table = MemoryTable({"ID": "NUMBER(38,0)", FENCE_COLUMN: "NUMBER(38,0)"})
    table.insert({"ID": key, FENCE_COLUMN: fence} for key, fence in rows)
    removed = table.keep_newest(["ID"])
    newest = {key: max((f or 0) for k, f in rows if k == key) for key, _ in rows}
    assert {row["ID"]: row[FENCE_COLUMN] or 0 for row in table.rows} == newest
    assert removed == len(rows) - len(newest)


def test_in_snowflake_the_statements_do_the_same(world: World) -> None:
    """The MERGE updates both rows, columns that a team added keep their values, and a row that a person inserted,
    which has no fence, is the one that goes."""
    world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    tick(world)
    world.snowflake("ALTER TABLE ANALYTICS.USERS ADD COLUMN THEIRS VARCHAR")
    world.snowflake("UPDATE ANALYTICS.USERS SET THEIRS = 'ours' WHERE ID = 1")
    world.snowflake("INSERT INTO ANALYTICS.USERS (ID, NAME) VALUES (1, 'by hand'), (2, 'by hand')")
    world.sql("update users set name = 'new', updated_at = clock_timestamp() where id = 3")
    assert REMOVED in tick(world, duplicates_only=True).events
    assert tick(world).full_read is None
    assert world.snowflake("SELECT THEIRS FROM ANALYTICS.USERS WHERE ID = 1") == [("ours",)]
    world.assert_equal()
    world.snowflake("INSERT INTO ANALYTICS.USERS SELECT * FROM ANALYTICS.USERS WHERE ID < 3")
    world.sql("update users set name = 'newer', updated_at = clock_timestamp() where id = 1")
    assert REMOVED in tick(world).events
    world.assert_equal()
