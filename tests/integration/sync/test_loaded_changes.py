"""Changes that were read from the log: what the target has after a load of them, in memory and in Snowflake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.loader import Deferred
from tests.integration.sync.loading import Changes, Loading, Run

WAYS = ["merge", "values", "table", "deferred"]
"""Straight from files, from bound values, through a staging table, staged first."""


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
    run.destination.load_staged([staged.batch], number + 1)


def begin(loading: Loading, way: str = "merge", **config: Any) -> Run:
    """A run whose target has the rows 1 to 4."""
    by = {"values": {"load": "auto"}, "table": {"load_via": "table"}}.get(way, {})
    loading.plan = loading.plan_with(**by, **config)
    run = loading.run()
    run.destination.prepare()
    run.destination.loader(LoadFacts()).load(run.batch(0, (1, "a"), (2, "b"), (3, "c"), (4, "d")))
    run = loading.run()
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
