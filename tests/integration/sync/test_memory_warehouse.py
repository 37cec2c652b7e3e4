"""Scripted failures of the warehouse in memory, seen by a whole run."""

from __future__ import annotations

import pytest

from pgsnow.model.errors import TargetAccessDenied, TargetUnavailable
from pgsnow.model.report import Status
from pgsnow.testing.destination import MemoryWarehouse
from tests.world import MemoryWorld

ROWS = "insert into users select g, 'user ' || g from generate_series(1, 10) g"
POINTS = ["prepare", "put", "copy", "clean up"]


@pytest.fixture
def world(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.tables[0] |= {"load": "stage"}
    memory_world.sql(ROWS)
    return memory_world


@pytest.mark.parametrize("after", [False, True], ids=["rejected", "reply lost"])
@pytest.mark.parametrize("point", POINTS)
def test_a_transient_failure_is_retried_and_nothing_is_doubled(
    world: MemoryWorld, point: str, after: bool
) -> None:
    world.warehouse.fail(point, TargetUnavailable("cut"), after=after)
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()
    assert world.leftovers() == []


@pytest.mark.parametrize("point", POINTS)
def test_a_permanent_failure_ends_the_run_and_the_next_one_makes_up_for_it(
    world: MemoryWorld, point: str
) -> None:
    world.warehouse.fail(point, TargetAccessDenied("no"))
    with world.engine() as engine:
        assert engine.tick().tables[0].error_type == "TargetAccessDenied"
        assert world.sql("select checkpoint is null from sync_watermarks") == [(point != "clean up",)]
        assert engine.tick().tables[0].ok
    world.assert_equal()
    assert world.leftovers() == []


def test_steps_and_names_are_recorded(world: MemoryWorld) -> None:
    with world.engine() as engine:
        engine.tick()
    warehouse = world.warehouse
    assert [call.point for call in warehouse.calls] == ["prepare", "put", "copy", "clean up"]
    assert warehouse.created == ["NONE.ANALYTICS.USERS"]
    assert warehouse.cleaned_up == [call.batch for call in warehouse.done("copy")]
    assert warehouse.connections == 1


def test_an_unknown_point_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of prepare, evolve"):
        MemoryWarehouse().fail("commit", RuntimeError("no"))
