"""When what waits in the stage is loaded: pure, so for all cases at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.config.table_config import TableOptions
from pgsnow.model.deferred_batch import Layout, StagedBatch, in_loads
from pgsnow.model.table import TargetName
from pgsnow.sync.table.load_schedule import is_due, is_much
from pgsnow.sync.table.throttle import MEGABYTE

LAYOUTS = tuple(Layout(TargetName("D", "S", name), ()) for name in ("A", "B"))
BATCHES = st.lists(
    st.builds(
        StagedBatch,
        batch=st.just("users/1-0"),
        fence=st.integers(1, 9),
        rows=st.integers(1, 500),
        size=st.integers(1, 3 * MEGABYTE),
        first_row=st.just(0),
        place=st.just("stage"),
        layout=st.sampled_from(LAYOUTS),
    ),
    max_size=8,
)
OPTIONS = st.builds(
    TableOptions,
    load_every=st.floats(1, 10_000),
    load_when_rows=st.none() | st.integers(1, 2_000),
    load_when_mb=st.none() | st.floats(0.1, 10),
    max_rows_per_load=st.integers(1, 3_000),
)


MOMENTS = st.integers(1_700_000_000, 1_700_100_000)


@given(OPTIONS, BATCHES, MOMENTS, st.integers(0, 30_000))
def test_rows_are_due_within_load_every_or_when_they_are_many(
    config: TableOptions, batches: list[StagedBatch], staged_at: int, waited: int
) -> None:
    rows, size = sum(b.rows for b in batches), sum(b.size for b in batches)
    many = rows >= config.max_rows_per_load
    many |= config.load_when_rows is not None and rows >= config.load_when_rows
    many |= config.load_when_mb is not None and size >= config.load_when_mb * MEGABYTE
    due = is_due(config, batches, staged_at, staged_at + waited)
    if batches and (many or waited >= config.load_every):
        assert due
    if not batches or (waited == 0 and not many):
        assert not due


@given(OPTIONS, BATCHES, MOMENTS, st.integers(0, 30_000), st.integers(0, 30_000))
def test_what_is_due_stays_due(
    config: TableOptions, batches: list[StagedBatch], staged_at: int, waited: int, more: int
) -> None:
    """Neither waiting longer nor more rows put a load off."""
    if is_due(config, batches, staged_at, staged_at + waited):
        assert is_due(config, batches, staged_at, staged_at + waited + more)
        assert is_due(config, [*batches, *batches[:1]], staged_at, staged_at + waited)


@given(st.integers(1, 10_000), st.lists(st.integers(0, 100_000), min_size=1), st.integers(1, 500))
def test_however_many_tables_one_tick_of_each_piece_of_time_loads_them(
    every: int, staged_at: list[int], interval: int
) -> None:
    """A warehouse that sleeps in between is woken once for all, in the first tick after the piece's end."""
    config = TableOptions(load_every=float(every))
    batch = StagedBatch("users/1-0", 1, 1, 1, 0, "stage", LAYOUTS[0])
    ticks = range(0, 100_000 + every + interval + 1, interval)
    loads = {
        at // every: next(tick for tick in ticks if tick >= at and is_due(config, [batch], at, tick))
        for at in staged_at
    }
    for at in staged_at:
        assert loads[at // every] == next(t for t in ticks if t >= at and is_due(config, [batch], at, t))
        assert loads[at // every] < (at // every + 1) * every + interval


@given(OPTIONS)
def test_nothing_is_never_due(config: TableOptions) -> None:
    assert not is_due(config, [], 0.0, 1e9)
    assert not is_much(config, [])


def test_a_table_that_defers_no_more_is_due_at_once() -> None:
    batch = StagedBatch("users/1-0", 1, 1, 1, 0, "stage", LAYOUTS[0])
    assert is_due(TableOptions(), [batch], 0.0, 0.0)


@given(BATCHES, st.integers(1, 1_000))
def test_loads_keep_the_order_and_mix_no_layouts(batches: list[StagedBatch], most: int) -> None:
    loads = in_loads(batches, most)
    assert [batch for load in loads for batch in load] == batches
    for load in loads:
        assert len({batch.layout.target for batch in load}) == 1
        assert len(load) == 1 or sum(batch.rows for batch in load) <= most
    for one, two in pairwise(loads):
        fits = sum(batch.rows for batch in one) + two[0].rows <= most
        assert not (fits and one[0].layout == two[0].layout)
