"""late_rows: off reads in the order of (watermark, key) from a cursor on, and can stop after any page."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.checkpoint import ReadMode
from pgsnow.postgres.read.reader import open_reader
from tests.integration.postgres.lab import Follower, Lab


@pytest.fixture
def follower(table: Lab) -> Follower:
    return table.follow(late_rows="off", batch_size=10)


def test_ties_at_the_end_of_a_page_are_not_lost(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id) select generate_series(1, 95)")
    assert follower.tick() == list(range(1, 96))
    table.run("insert into t (id, updated_at) select g, '2999-01-01' from generate_series(96, 130) g")
    assert follower.tick() == list(range(96, 131))
    assert follower.tick() == []


def test_a_read_that_stopped_after_a_page_goes_on_from_there(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id) select generate_series(1, 95)")
    with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
        assert reading.resumable
        pages = reading.pages()
        read = [key for _ in range(3) for key in next(pages).rows.column("id").to_pylist()]
        follower.checkpoint = reading.checkpoint()
    assert read == list(range(1, 31))
    assert follower.tick() == list(range(31, 96))
    assert not follower.full_read


def test_null_and_infinite_watermarks_never_move_the_cursor(table: Lab, follower: Follower) -> None:
    """A full read takes such rows in; the cursor passes them by."""
    table.run(
        "alter table t alter updated_at drop not null",
        "insert into t (id, updated_at) values (1, now()), (2, null), (3, 'infinity'), (4, '-infinity')",
    )
    follower.plan = table.plan(late_rows="off", batch_size=10, columns={"exclude": ["updated_at"]})
    assert sorted(follower.tick()) == [1, 2, 3, 4]
    assert follower.checkpoint is not None
    assert follower.checkpoint.cursor is not None
    assert follower.checkpoint.cursor[1] == "1"
    table.run("insert into t (id, updated_at) values (5, null), (6, now())")
    assert follower.tick() == [6]


def test_rows_behind_the_cursor_are_its_risk(table: Lab, follower: Follower) -> None:
    late = table.session()
    late.execute("insert into t (id) values (1)")
    table.run("insert into t (id) values (2)")
    assert follower.tick() == [2]
    late.commit()
    assert follower.tick() == []


def test_moving_to_lossless_reads_everything_once(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id) values (1)")
    follower.tick()
    table.run("insert into t (id, updated_at) values (2, '2000-01-01')")
    assert follower.tick() == []
    follower.plan = table.plan()
    assert sorted(follower.tick()) == [1, 2]
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.WATERMARK


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int", ["-5", "0", "7"]),
        ("text", ["", "a'b", "c\\d"]),
        ("timestamp", ["2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"]),
        ("numeric", ["-1.5", "2.25"]),
        ("bytea", ["\\x00", "\\xff"]),
    ],
)
def test_keys_of_any_type_break_ties(lab: Lab, kind: str, values: list[str]) -> None:
    lab.run(f"create table t (k {kind}, part int, updated_at date not null, primary key (k, part))")
    for value in values:
        for part in (1, 2):
            lab.admin.execute("insert into t values (%s, %s, '2026-01-01')", [value, part])
    follower = lab.follow(pk=["k", "part"], late_rows="off", batch_size=1)
    assert len(follower.tick()) == 2 * len(values)
    assert follower.tick() == []


@pytest.mark.parametrize("kind", ["int2", "int8", "date", "timestamp", "timestamptz"])
def test_every_type_of_watermark_can_be_a_cursor(lab: Lab, kind: str) -> None:
    value: Any = "g" if kind.startswith("int") else "date '2026-01-01' + g::int"
    lab.run(f"create table t (id int primary key, updated_at {kind} not null)")
    lab.run(f"insert into t select g, {value} from generate_series(1, 25) g")
    follower = lab.follow(late_rows="off", batch_size=10)
    assert len(follower.tick()) == 25
    lab.run(f"insert into t select g, {value} from generate_series(26, 30) g")
    assert follower.tick() == list(range(26, 31))
