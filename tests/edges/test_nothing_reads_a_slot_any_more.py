"""Nothing reads a slot any more.

Group: history
Danger: The last table with `mode: log` is paused, disabled or removed, or its first load takes a day. The slot goes on
holding back the source's log, until the disk is full.
Answer: A slot that no table follows yet is read on by the ticks, so that it holds back little. One that no tick reads
is looked after once an hour by any worker: its size is measured, and above `max_retained_wal` it is dropped, which
costs one read without the log. The status, the page and an alert say that it can be dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pgsnow.operations.check.log import check_log
from pgsnow.operations.status.log import log_of
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.fingerprint import inspect_log
from tests.world import MemoryWorld

WRITTEN = "select pg_logical_emit_message(false, 'x', repeat('y', 700000)) from generate_series(1, 4)"
OTHERS = {"source": "public.others", "target": "analytics.others", "pk": "id", "mode": "xmin"}
SLOTS = "select slot_name from pg_replication_slots where database = current_database()"


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    """Users, with mode: log, and others, without."""
    world = memory_world
    world.sql("create publication ours for table users; create table others (id int primary key)")
    world.sql("insert into users (id, name) select i, repeat('n', 100) from generate_series(1, 1000) i")
    world.options = {"log_publication": "ours", "max_retained_wal": "2MB"}
    world.tables = [world.tables[0] | {"mode": "log"}, dict(OTHERS)]
    yield world
    world.close_engine()
    world.sql(f"select pg_drop_replication_slot(slot_name) from ({SLOTS}) s")


def an_hour_passes(world: MemoryWorld) -> None:
    """Then a worker ticks that was not there before."""
    world.sql("update sync_slots set read_at = read_at - interval '61 min'")
    world.close_engine()
    with world.engine() as engine:
        assert not engine.tick().failures


def test_a_slot_that_is_left_is_told_and_dropped_when_it_holds_back_too_much(world: MemoryWorld) -> None:
    """The only table is disabled; an hour later the status says what can be done, and once the slot holds back too
    much, it is gone. The table comes back, is read once without the log, and follows it again."""
    with world.engine() as engine:
        for _ in range(2):
            engine.tick()
    world.tables[0]["enabled"] = False
    an_hour_passes(world)
    with world.engine() as engine:
        found = log_of(world.config, engine.ledger)
    assert found is not None
    assert found.sentence.endswith("the slot still holds back the source's log: pgsnow log drop")
    assert found.is_news(datetime.now(UTC), 60)
    world.sql(WRITTEN)
    an_hour_passes(world)
    assert world.sql(SLOTS) == []
    [(why, position)] = world.sql(
        "select why, checkpoint -> 'log' ->> 0 from sync_slots, sync_watermarks where source_table = 'public.users'"
    )
    assert why.startswith("it held back ")
    assert "nothing read it for" in why
    world.sql("delete from users where id = 7; insert into users (id) values (2000)")
    world.tables[0]["enabled"] = True
    with world.engine() as engine:
        reports = {report.table: report for report in engine.tick().tables}
    assert any("read without the log" in event for event in reports["public.users"].events)
    world.assert_equal()
    assert world.sql("select generation from sync_slots") != [(int(position),)]


def test_the_slot_of_a_ledger_that_is_gone_is_named(world: MemoryWorld) -> None:
    """A ledger that was made again has another id, hence another slot; `check` names the one that is left."""
    world.sql("select pg_create_logical_replication_slot('pgsnow_0123456789ab', 'pgoutput')")
    with world.engine() as engine, Source(world.settings.source).connect() as conn:
        found = {result.detail: result.fix for result in check_log(world.config, engine.ledger, conn)}
    [fix] = [
        fix
        for detail, fix in found.items()
        if detail.startswith("the slot pgsnow_0123456789ab is of a ledger")
    ]
    assert fix == "If that ledger is gone: SELECT pg_drop_replication_slot('pgsnow_0123456789ab');"


def test_the_log_is_read_on_while_a_first_load_lasts(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of the first load are left to others; meanwhile the slot moves, and is not given up."""
    monkeypatch.setattr("pgsnow.sync.stream.slot_reader.PINNED", 1 << 20)
    world.options["max_retained_wal"] = "5MB"
    world.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    with world.engine() as engine, Source(world.settings.source).connect() as conn:
        for _ in range(3):
            engine.tick(leave_chunks=True)
            world.sql(WRITTEN)
            world.sql("checkpoint")  # so that the server knows that it needs no older log
        assert world.sql("select count(*) from sync_backfills") != [(0,)]
        engine.tick(leave_chunks=True)
        [(slot, generation)] = world.sql("select slot, generation from sync_slots")
        assert generation == 1
        state = inspect_log(conn, slot, "ours", [])
        assert state.slot is not None
        assert state.end - (state.slot.confirmed or 0) < 1 << 20
        while engine.take_chunk() is not None:
            pass
        engine.tick()
    world.assert_equal()
