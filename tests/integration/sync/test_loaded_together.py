"""Several tables that are loaded in one transaction, in memory and in Snowflake."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pgsnow.model.deferred_batch import StagedBatch, in_loads
from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.loader import Deferred
from pgsnow.sync.runtime.events import ignore
from pgsnow.testing.faults import RaiseAt
from tests.integration.sync.loading import Changes, Loading, Run
from tests.world import MemoryWorld

MOST = 1_000
LOST_REPLY = TargetUnavailable("the reply was lost")


@pytest.fixture(params=["memory_world", "world"], ids=["memory", "snowflake"])
def tables(request: pytest.FixtureRequest) -> Iterator[tuple[Loading, Loading]]:
    world: Any = request.getfixturevalue(request.param)
    with world.engine() as engine:
        yield Loading(world, engine, "orders"), Loading(world, engine, "lines")


def begin(loading: Loading, observer: Any = ignore) -> Run:
    """A run whose target has the rows 1 and 2. observer: of this run."""
    loading.plan = loading.plan_with(deletes="hard")
    run = loading.run()
    run.destination.prepare()
    run.destination.loader(LoadFacts()).load(run.batch(0, (1, "a"), (2, "b")))
    run = loading.run(observer=observer)
    run.destination.prepare()
    return run


def stage(run: Run, *changes: Changes) -> list[list[StagedBatch]]:
    staged = []
    for number, one in enumerate(changes):
        outcome = run.destination.loader(LoadFacts(deferred=True)).load(run.changes(number, one))
        assert isinstance(outcome, Deferred)
        staged.append(outcome.batch)
    return in_loads(staged, MOST)


def ticks(loading: Loading) -> list[tuple[str, bool, Sequence[str], dict[str, str]]]:
    """Of each tick: its name, whether its tables were loaded together, those that were, and the others."""
    if isinstance(loading.world, MemoryWorld):
        found = loading.world.warehouse.ticks.values()
        return [(row.tick, row.together, tables, dict(row.left_out)) for row, tables in found]
    rows = loading.world.snowflake(
        "SELECT TICK, CONSISTENT, TABLES, LEFT_OUT FROM ANALYTICS.PGSNOW_TICKS ORDER BY LSN_BYTES"
    )
    return [(tick, together, json.loads(there), json.loads(left)) for tick, together, there, left in rows]


def row(loading: Loading, tick: str, lsn: int) -> ConsistentTick:
    return ConsistentTick(
        loading.plan.target, tick, lsn, datetime(2026, 1, 1, tzinfo=UTC), {"public.new": "it is read"}
    )


def test_all_tables_of_a_tick_change_at_once_or_without_the_one_that_fails(
    tables: tuple[Loading, Loading],
) -> None:
    """The row of the tick is committed with the tables. A table whose files are gone is left out, and named; what the
    transaction had changed before is rolled back and done again. With too many rows, each table is loaded on its own,
    and the row says so. A repeated load changes nothing, and writes no second row."""
    orders, lines = tables
    first, second = begin(orders), begin(lines)
    parts = [
        (first.destination, stage(first, Changes([(3, "c")], deleted=[1]), Changes([(2, None)]))),
        (second.destination, stage(second, Changes([(1, "A")]))),
    ]
    for _ in range(2):
        loaded = first.destination.load_together(parts, row(orders, "one", 1), MOST)
        assert loaded == {"public.orders": None, "public.lines": None}
        assert orders.rows() == [(2, "b"), (3, "c")]
        assert lines.rows() == [(1, "A"), (2, "b")]
    assert (first.table.rows, first.recorder.rows_deleted > 0) in [(2, True), (None, True)]
    assert ticks(orders)[0][:2] == ("one", True)
    assert sorted(ticks(orders)[0][2]) == ["public.lines", "public.orders"]
    assert ticks(orders)[0][3] == {"public.new": "it is read"}

    first, second = begin_again(orders), begin_again(lines)
    staged = stage(first, Changes([(4, "d")]))
    orders.lose_files()
    parts = [(second.destination, stage(second, Changes([(5, "e")]))), (first.destination, staged)]
    loaded = second.destination.load_together(parts, row(orders, "two", 2), MOST)
    assert loaded["public.lines"] is None
    assert loaded["public.orders"] is not None
    assert (orders.rows(), lines.rows()) == ([(2, "b"), (3, "c")], [(1, "A"), (2, "b"), (5, "e")])
    assert ticks(orders)[1][2] == ["public.lines"]
    assert ticks(orders)[1][3].keys() == {"public.new", "public.orders"}

    parts = [(second.destination, stage(second, Changes([(6, "f")])))]
    assert second.destination.load_together(parts, row(orders, "three", 3), 0) == {"public.lines": None}
    assert (6, "f") in lines.rows()
    assert ticks(orders)[2][:2] == ("three", False)


@pytest.mark.parametrize("phase", ["merged", "inserted"])
def test_a_transaction_whose_reply_was_lost_is_done_once(tables: tuple[Loading, Loading], phase: str) -> None:
    """Also if the lost reply is the one to COMMIT: the tick's row shows that it was committed."""
    orders, lines = tables
    first, second = begin(orders, RaiseAt(phase, LOST_REPLY)), begin(lines)
    swap = Changes([(1, None), (2, None), (3, "c")], moved={1: 2, 2: 1})
    parts = [
        (first.destination, stage(first, swap)),
        (second.destination, stage(second, Changes([(1, "A")], deleted=[2]))),
    ]
    loaded = first.destination.load_together(parts, row(orders, "one", 1), MOST)
    assert set(loaded.values()) == {None}
    assert (orders.rows(), lines.rows()) == ([(1, "b"), (2, "a"), (3, "c")], [(1, "A")])
    assert [tick for tick, *_ in ticks(orders)] == ["one"]
    assert first.table.rows in (3, None)
    if not isinstance(orders.world, MemoryWorld):  # which repeats the one table only
        assert first.table.incomplete == []


def begin_again(loading: Loading) -> Run:
    run = loading.run()
    run.destination.prepare()
    return run
