"""The phases of real runs: exclusive, so that their sum is at most the run's seconds."""

from __future__ import annotations

import time

import pytest

import pgsnow.snowflake.session_pool as session_pool
from pgsnow.model.report import Status, TableReport
from pgsnow.snowflake.session import Session, connect
from tests.integration.sync.test_backfill import SMALL
from tests.integration.sync.test_tick import SOME
from tests.world import MemoryWorld, World

LOGIN = 1.5
"""Seconds that a login takes here: more than all the rest of `transform`."""


def first_load(world: World) -> TableReport:
    world.sql(SOME.format(1, 2500))
    with world.engine() as engine:
        report = engine.tick().tables[0]
    assert (report.status, report.rows_inserted) == (Status.OK, 2500)
    assert 0 < sum(report.phases.values()) <= report.seconds
    return report


@pytest.fixture
def slow_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*args: object, **options: object) -> Session:
        time.sleep(LOGIN)
        return connect(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(session_pool, "connect", slowly)


def test_connecting_and_preparing_the_target_are_phases_of_their_own(world: World, slow_login: None) -> None:
    phases = first_load(world).phases
    assert phases["connect"] >= LOGIN > phases["transform"]
    assert 0 < phases["prepare"] < phases["connect"]


def test_chunks_that_are_loaded_side_by_side_count_for_their_share(world: World) -> None:
    world.tables[0] |= {**SMALL, "max_parallel_chunks": 3}
    assert {"connect", "read", "transform", "write"} <= first_load(world).phases.keys()


def test_an_idle_run_has_planned_and_probed(memory_world: MemoryWorld) -> None:
    with memory_world.engine() as engine:
        engine.tick()
        report = engine.tick().tables[0]
    assert report.status is Status.IDLE
    assert report.phases.keys() == {"plan", "probe"}
    assert sum(report.phases.values()) <= report.seconds


def test_the_events_of_a_first_load_come_in_the_order_of_a_run(world: World) -> None:
    world.sql(SOME.format(1, 2500))
    told: list[str] = []
    with world.engine(lambda event: told.append(event.phase)) as engine:
        engine.tick()
        first, told[:] = list(told), []
        engine.tick()
    assert first[:4] == ["started", "read", "page", "written"]
    assert "checkpointed" in first[4:-1]
    assert first[-1] == "finished"
    assert told == ["started", "finished"]
