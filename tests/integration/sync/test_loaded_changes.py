"""Changes that were read from the log: what the target has after a load of them, in memory and in Snowflake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import LeaseLost, TargetUnavailable
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.loader import Deferred
from pgsnow.sync.runtime.events import ignore
from pgsnow.testing.faults import RaiseAt
from tests.integration.sync.loading import Changes, Loading, Run

WAYS = ["merge", "values", "table"]
"""Straight from files, from bound values, through a staging table; `deferred`: staged first."""


@pytest.fixture(params=["memory_world", "world"], ids=["memory", "snowflake"])
def loading(request: pytest.FixtureRequest) -> Iterator[Loading]:
    world: Any = request.getfixturevalue(request.param)
    with world.engine() as engine:
        yield Loading(world, engine)


def load(run: Run, number: int, changes: Changes, *, way: str = "merge") -> None:
    """Load one batch of changes."""
    batch = run.changes(number, changes)
    if way != "deferred":
        run.destination.loader(LoadFacts()).load(batch)
        return
    staged = run.destination.loader(LoadFacts(deferred=True)).load(batch)
    assert isinstance(staged, Deferred)
    run.destination.load_staged([staged.batch], number + 1, copies=False)


def begin(loading: Loading, way: str = "merge", observer: Any = ignore, **config: Any) -> Run:
    """A run whose target has the rows 1 to 4. observer: of this run."""
    by = {"values": {"load": "auto"}, "table": {"load_via": "table"}}.get(way, {})
    loading.plan = loading.plan_with(**by, **config)
    run = loading.run()
    run.destination.prepare()
    run.destination.loader(LoadFacts()).load(run.batch(0, (1, "a"), (2, "b"), (3, "c"), (4, "d")))
    run = loading.run(observer=observer)
    run.destination.prepare()
    return run


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_inserted_updated_and_deleted_and_what_did_not_change_is_kept(
    loading: Loading, way: str
) -> None:
    """One load applies every kind of change; columns that the log did not have keep the target's values, also under
    another key; a repeated load changes nothing more, and the number of rows is known after it."""
    run = begin(loading, way, deletes="hard")
    changes = Changes([(1, "A"), (2, None), (9, None)], moved={9: 4}, deleted=[4])
    load(run, 1, changes, way=way)
    assert loading.rows() == [(1, "A"), (2, "b"), (3, "c"), (9, "d")]
    assert run.table.incomplete == []
    assert run.table.rows == 4
    assert run.recorder.rows_deleted == 1
    load(run, 5, Changes([(10, "x")], deleted=[3, 77]), way=way)
    assert loading.rows() == [(1, "A"), (10, "x"), (2, "b"), (9, "d")]
    assert run.table.rows == 4
    run.destination.batches.cleanup()
    assert loading.leftovers() == []


@pytest.mark.parametrize("way", ["deferred"])
def test_deleted_rows_are_marked_and_come_back_without_the_mark(loading: Loading, way: str) -> None:
    """With `deletes: soft` a deleted row keeps its values and gets a mark, once; a row that is inserted again loses it;
    a TRUNCATE marks what was there before it."""
    run = begin(loading, way, deletes="soft")
    load(run, 1, Changes([(9, None)], moved={9: 4}, deleted=[1, 4]), way=way)
    assert loading.rows() == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (9, "d")]
    assert loading.marked() == [1, 4]
    load(run, 3, Changes([(1, "back")], deleted=[4, 50]), way=way)
    assert loading.marked() == [4]
    load(run, 5, Changes([(2, "new"), (7, "g")], truncates=True), way=way)
    assert loading.marked() == [1, 3, 4, 9]
    assert loading.rows() == [(1, "back"), (2, "new"), (3, "c"), (4, "d"), (7, "g"), (9, "d")]
    assert run.table.rows == 6


def test_with_deletes_off_rows_stay(loading: Loading) -> None:
    """A DELETE and a TRUNCATE in the log change nothing in a target whose rows are kept."""
    run = begin(loading, deletes="off")
    load(run, 1, Changes([(1, "A")], deleted=[2]))
    load(run, 2, Changes([(5, "e")], truncates=True))
    assert loading.rows() == [(1, "A"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]


@pytest.mark.parametrize("way", ["merge"])
def test_a_truncated_table_has_only_what_came_after(loading: Loading, way: str) -> None:
    """A TRUNCATE removes what earlier runs and earlier batches of this run have loaded, also without a row after it;
    once more does no harm, and neither does a load of an earlier run that comes late."""
    run = begin(loading, way, deletes="hard")
    load(run, 0, Changes([(5, "e")]), way=way)
    load(run, 2, Changes([(2, "B"), (6, "f")], truncates=True), way=way)
    assert loading.rows() == [(2, "B"), (6, "f")]
    assert run.table.rows == 2
    stale = run.changes(4, Changes(truncates=True))
    later = loading.run()
    later.destination.prepare()
    load(later, 0, Changes([(8, "h")]), way=way)
    load(later, 2, Changes(truncates=True, after=Changes([(9, "i")])), way=way)
    load(later, 4, Changes([(9, "i")]), way=way)
    assert loading.rows() == [(9, "i")]
    with pytest.raises(LeaseLost):
        run.destination.loader(LoadFacts()).load(stale)
    assert loading.rows() == [(9, "i")]


@pytest.mark.parametrize("way", ["values"])
def test_rows_that_are_not_whole_are_not_invented(loading: Loading, way: str) -> None:
    """A row that lacks columns is not inserted if the target has no such row; its key is handed to the run, which reads
    it from the source. A later change of the same key in the batch makes up for it."""
    run = begin(loading, way, deletes="hard")
    changes = Changes([(2, None), (11, None), (12, None)], after=Changes([(12, "whole")]))
    load(run, 1, changes)
    assert loading.rows() == [(1, "a"), (12, "whole"), (2, "b"), (3, "c"), (4, "d")]
    assert run.table.incomplete == [("11",)]


@pytest.mark.parametrize("way", ["values"])
def test_rows_that_changed_places_are_not_exchanged_twice(loading: Loading, way: str) -> None:
    """Two rows exchange their keys, without the column that did not change. Once more, the target's rows are the new
    ones already: the values are not taken again, and the keys are handed to the run."""
    run = begin(loading, way, deletes="hard")
    swap = Changes([(1, None), (2, None)], moved={1: 2, 2: 1})
    load(run, 1, swap, way=way)
    assert loading.rows() == [(1, "b"), (2, "a"), (3, "c"), (4, "d")]
    assert run.table.incomplete == []
    load(run, 3, swap, way=way)
    assert loading.rows() == [(1, "b"), (2, "a"), (3, "c"), (4, "d")]
    assert sorted(run.table.incomplete) == [("1",), ("2",)]


class Table:
    """A source table of ids and names, and the changes of it that one load batch has: the last one of each key."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {1: "a", 2: "b", 3: "c", 4: "d"}
        self._begin()

    def _begin(self) -> None:
        self._origin = {at: at for at in self.rows}
        self._touched: set[int] = set()
        self._named: set[int] = set()
        self._truncated = False

    def put(self, at: int, name: str) -> None:
        self.rows[at] = name
        self._named.add(at)
        self._touched.add(at)

    def touch(self, at: int) -> None:
        """An update of another column."""
        if at in self.rows:
            self._touched.add(at)

    def delete(self, at: int) -> None:
        if self.rows.pop(at, None) is not None:
            self._touched.add(at)
            self._named.discard(at)
            self._origin.pop(at, None)

    def move(self, at: int, to: int) -> None:
        if at not in self.rows or to in self.rows:
            return
        name, known, origin = self.rows[at], at in self._named, self._origin.get(at)
        self.delete(at)
        self.rows[to] = name
        self._touched.add(to)
        if known or origin is None:
            self._named.add(to)
        else:
            self._origin[to] = origin

    def truncate(self) -> None:
        self.rows.clear()
        self._touched, self._named, self._origin, self._truncated = set(), set(), {}, True

    def changes(self) -> Changes:
        """The changes since the last call."""
        live = sorted(at for at in self._touched if at in self.rows)
        moved = {at: self._origin[at] for at in live if at not in self._named and self._origin[at] != at}
        upserts = [(at, self.rows[at] if at in self._named else None) for at in live]
        found = Changes(upserts, moved, sorted(self._touched - self.rows.keys()), self._truncated)
        self._begin()
        return found


IDS = st.integers(1, 7)
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), IDS, st.sampled_from("xyz")),
    st.tuples(st.just("touch"), IDS),
    st.tuples(st.just("delete"), IDS),
    st.tuples(st.just("move"), IDS, IDS),
    st.tuples(st.just("truncate")),
)


@given(batches=st.lists(st.lists(OPERATIONS, max_size=6), min_size=3, max_size=8), twice=st.booleans())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_target_follows_any_sequence_of_changes(
    loading: Loading, batches: list[list[tuple[Any, ...]]], twice: bool
) -> None:
    """After each load the target has exactly the source's rows, whatever was inserted, updated in part, deleted, moved
    to other keys and truncated; the same holds if a load is done twice and the rows that it reports are read again."""
    table = Table()
    if loading.exists():
        loading.drop()
    run = begin(loading, deletes="hard")
    for number, operations in enumerate(batches):
        for name, *arguments in operations:
            getattr(table, name)(*arguments)
        changes = table.changes()
        for _ in range(1 + twice):
            load(run, 2 * number + 1, changes, way="deferred" if number % 2 else "merge")
        if twice and run.table.incomplete:
            again = [
                (int(at), table.rows[int(at)]) for (at,) in run.table.incomplete if int(at) in table.rows
            ]
            run.table.incomplete.clear()
            run.destination.loader(LoadFacts()).load(run.batch(100 + number, *again))
        assert run.table.incomplete == []
        assert dict(loading.rows()) == table.rows
        assert len(loading.rows()) == len(table.rows)


LOST_REPLY = TargetUnavailable("the reply was lost")


@pytest.mark.parametrize(("way", "phase"), [("merge", "merged"), ("table", "copied")])
def test_a_load_whose_reply_was_lost_ends_in_the_same_rows(loading: Loading, way: str, phase: str) -> None:
    """Whichever statement's reply is lost, the target has each row once, deleted rows are gone, and rows that exchanged
    their keys are as they must be, or are reported."""
    run = begin(loading, way, RaiseAt(phase, LOST_REPLY), deletes="hard")
    load(
        run, 1, Changes([(1, None), (2, None), (3, None), (5, "e")], moved={1: 2, 2: 1}, deleted=[4]), way=way
    )
    assert [at for at, _ in loading.rows()] == [1, 2, 3, 5]
    assert loading.rows()[2:] == [(3, "c"), (5, "e")]
    reported = {int(at) for (at,) in run.table.incomplete}
    assert reported in (set(), {1, 2})
    assert reported or loading.rows()[:2] == [(1, "b"), (2, "a")]


@pytest.mark.parametrize("way", ["deferred"])
def test_a_killed_load_is_done_again_by_the_next_run(loading: Loading, way: str) -> None:
    """A worker is killed after the MERGE and before the ledger knows: the next one loads the same staged batch, removes
    what is deleted once, and does not take the difference in rows for somebody else's work."""
    run = begin(loading, way, deletes="hard")
    staged = run.destination.loader(LoadFacts(deferred=True)).load(
        run.changes(1, Changes([(2, "B"), (7, "g")], deleted=[1, 3]))
    )
    assert isinstance(staged, Deferred)
    run.destination.load_staged([staged.batch], 2, copies=False)
    again = loading.run()
    again.destination.prepare()
    again.destination.load_staged([staged.batch], 2, copies=False)
    assert again.table.because is None
    assert loading.rows() == [(2, "B"), (4, "d"), (7, "g")]
