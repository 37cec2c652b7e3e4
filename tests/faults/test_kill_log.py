"""kill -9 of a worker at each step of a tick that reads the log: the next ticks make source and target equal, and
nothing is left in the stage."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pgsnow.model.report import Status
from tests.faults.kill_rounds import tick
from tests.progress import wait_until
from tests.world import World

READER, SESSION = "pgsnow.sync.stream.slot_reader", "pgsnow.postgres.replication.session"
STAGED = "pgsnow.sync.table.streaming.changes"
STEPS: Mapping[str, str] = {
    "the log is to be read": f"before {SESSION} LogSession.read",
    "the log is spooled": f"after {SESSION} LogSession.read",
    "the read is judged": f"after {READER} SlotReader.read",
    "part files are written": "written",
    "part files are put": "put",
    "the ledger is to know of staged batches": f"before {STAGED} record_staged",
    "staged batches are known": "staged",
    "changes are staged": f"after {STAGED} stage_log",
    "the ledger knows what is confirmed": "after pgsnow.ledger.slots.store Slots.advance",
    "the slot is to be confirmed": f"before {SESSION} LogSession.confirm",
    "the slot is confirmed": f"after {SESSION} LogSession.confirm",
    "changes are merged": "merged",
    "the ledger knows what is loaded": "checkpointed",
    "the session is closed": f"after {READER} SlotReader.close",
}
"""By what was just done: a phase of the engine, or a step inside it (PGSNOW_KILL_IN of one_tick)."""
WAYS: Mapping[str, dict[str, Any]] = {
    "now": {"load": "stage"},
    "auto": {},
    "deferred": {"load": "stage", "load_every": "1ms"},
}
"""By the way in which changes are loaded: what each table has for it."""


@pytest.fixture
def log_world(world: World) -> Iterator[World]:
    world.sql(
        "create table notes (id int primary key, text text, big text);"
        "alter table notes alter big set storage external;"
        "insert into notes select i, 'n' || i, repeat('x', 3000) from generate_series(1, 30) i;"
        "insert into users select i, 'n' || i from generate_series(1, 30) i;"
        "create publication pgsnow_test for table users, notes"
    )
    world.options["log_publication"] = "pgsnow_test"
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def in_way(world: World, way: str, deletes: str) -> None:
    """Both tables are read from the log and loaded in this way, and are in their targets."""
    log = {"mode": "log", "deletes": deletes, "max_delete_share": 1, **WAYS[way]}
    world.tables = [
        {"source": "public.users", "target": "analytics.users", "pk": "id", **log},
        {"source": "public.notes", "target": "analytics.notes", "pk": "id", **log},
    ]
    recover(world)


def change(world: World, number: int) -> None:
    """A transaction with an insert, an update that leaves a large value as it was, a delete, a changed key."""
    world.sql(
        "begin;"
        f"insert into notes values ({1000 + number}, 'new', repeat('y', 3000));"
        f"update notes set text = 'changed {number}' where id = {1 + number % 5};"
        f"delete from notes where id = 30 - {number}; delete from users where id = 30 - {number};"
        f"insert into notes values (30 - {number} + 5000, 'deleted with {number}', null);"
        f"update notes set id = {2000 + number} where id = {1000 + number - 1};"
        f"insert into users (id, name) values ({1000 + number}, 'new');"
        "commit"
    )


def recover(world: World) -> None:
    """Plain ticks, once the server has noticed that the killed worker is gone; then both sides are equal."""

    def is_done() -> bool:
        with world.engine() as engine:
            report = engine.tick(requested=True)
        assert not report.failures, report.failures
        return all(table.status is Status.IDLE for table in report.tables)

    wait_until(is_done, "all tables are idle")
    marks = [entry["target"] for entry in world.tables if entry["deletes"] == "soft"]
    for target in marks:
        ids = {row[0] for row in world.snowflake(f"SELECT ID FROM {target} WHERE _PGSNOW_DELETED_AT IS NULL")}
        assert ids == {row[0] for row in world.sql(f"select id from {target.replace('analytics', 'public')}")}
    if not marks:
        world.assert_equal()
    assert world.leftovers() == []


def kill_and_recover(world: World, step: str) -> None:
    is_phase = " " not in step
    env = {} if is_phase else {"PGSNOW_KILL_IN": step}
    codes: list[int] = []

    def was_killed() -> bool:
        codes.append(tick(world, step if is_phase else None, nth=1, **env).wait())
        return codes[-1] == -signal.SIGKILL

    wait_until(was_killed, lambda: f"the tick reaches {step!r}: {codes}")
    recover(world)


@pytest.mark.parametrize(
    ("way", "deletes", "steps"),
    [
        pytest.param("auto", "hard", ["the log is to be read"], id="some"),
        *(
            pytest.param(way, deletes, [*STEPS], id=f"{way}-{deletes}", marks=pytest.mark.thorough)
            for way, deletes in (("now", "hard"), ("now", "soft"), ("deferred", "hard"))
        ),
    ],
)
def test_killed_while_the_log_is_read(log_world: World, way: str, deletes: str, steps: list[str]) -> None:
    """Each round begins with source and target equal."""
    in_way(log_world, way, deletes)
    for number, what in enumerate(steps, start=1):
        change(log_world, number)
        kill_and_recover(log_world, STEPS[what])
