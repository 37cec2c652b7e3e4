"""A large table is read chunk by chunk: resumed wherever it was broken off, and equal whatever is written meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.sync.events import Event
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.world import USERS_TABLE, World

SOME = "insert into users select g, 'user ' || g, g * 1.25, jsonb_build_object('n', g) from generate_series({}, {}) g"
ROWS = 3000


@pytest.fixture
def large(world: World) -> World:
    """Users whose table is of several chunks."""
    world.tables[0] |= {"max_mb_per_chunk": 0.06, "batch_size": 200, "load": "stage"}
    world.sql(SOME.format(1, ROWS))
    return world


def tick(world: World, observer: Callable[[Event], None] = lambda event: None, **options: Any) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick(**options).tables[0]


def chunks(world: World) -> list[tuple[str, int]]:
    """State and attempts of each."""
    return world.sql("select state, attempts from sync_chunks order by number")  # type: ignore[return-value]


def test_a_large_table_is_loaded_in_chunks_and_followed_from_then_on(large: World) -> None:
    first = tick(large)
    assert (first.status, first.rows_inserted) == (Status.OK, ROWS)
    assert len(chunks(large)) > 3
    assert set(chunks(large)) == {("done", 1)}
    assert large.sql("select sum(rows) from sync_chunks") == [(ROWS,)]
    assert large.sql("select backfill, checkpoint is not null from sync_watermarks") == [(None, True)]
    large.sql("update users set name = 'changed', updated_at = now() where id in (3, 5)")
    second = tick(large)
    assert (second.rows_updated, second.full_read) == (2, None)
    large.assert_equal()
    assert large.leftovers() == []
