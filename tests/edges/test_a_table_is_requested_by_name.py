"""A person asks for a table while its schedule says later.

Group: process
Danger: `sync_postgres_to_snowflake.delay(["public.users"])` answers that the table is held, because it ran a moment ago
or has `every: 1h`, and the request is gone.
Answer: a table that is named runs whether it is due or not. Another run that has the table still comes first
(`locked`), and a paused table stays paused; a scheduled run says `not-due`. With `load=True` staged rows are loaded
too.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from celery import Celery
from kombu import Message

from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from tests.world import MemoryWorld

_APPS = itertools.count()


@pytest.fixture
def world(memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    """Users with an interval of a day, which ran a moment ago and have changed since. The task's engine loads into
    memory too."""
    make = Engine.__init__

    def in_memory(self: Engine, config: Any, settings: Any, **options: Any) -> None:
        from pgsnow.testing.destination import memory_destination

        make(self, config, settings, destination=memory_destination(memory_world.warehouse), **options)

    memory_world.tables[0]["every"] = "1d"
    memory_world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 10) g")
    with memory_world.engine() as engine:
        assert engine.tick(due_only=True).tables[0].rows_inserted == 10
        assert engine.tick(due_only=True).tables[0].status is Status.NOT_DUE
    memory_world.sql("update users set name = 'changed', updated_at = now()")
    monkeypatch.setattr(Engine, "__init__", in_memory)
    return memory_world


@pytest.fixture
def app(world: MemoryWorld) -> Celery:
    """An application with one task that does everything."""
    return application(world)


def application(world: MemoryWorld) -> Celery:
    app = Celery("host", broker="memory://")
    app.conf.task_default_queue = f"requested-{next(_APPS)}"
    install(app, world.config, settings=world.settings)
    app.finalize()
    return app


def processed(app: Celery, *args: Any, task: str = TASK_NAME, **kwargs: Any) -> int:
    """The rows that the task processed, which it runs as a worker would."""
    ended = app.tasks[task].apply(args=args, kwargs=kwargs)
    assert ended.successful(), ended.result
    return sum(dict(ended.result)["rows_processed"].values())


def sent(app: Celery) -> list[Message]:
    """The messages that wait in the application's queue."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.queue_declare(app.conf.task_default_queue)
        return list(iter(lambda: channel.basic_get(app.conf.task_default_queue, no_ack=True), None))


def test_a_named_table_runs_though_it_is_not_due(world: MemoryWorld, app: Celery) -> None:
    """The beat's message, which names no table, leaves it alone; the request does not."""
    assert processed(app) == 0
    assert processed(app, ["public.users"]) == 10
    world.assert_equal()


def test_a_named_table_runs_on_whichever_worker_takes_its_message(world: MemoryWorld) -> None:
    """The message carries the request, and does not expire at the next tick, which would leave the table alone."""
    world.options["execution"] = "distributed"
    app = application(world)
    assert processed(app) == 0
    assert sent(app) == []
    processed(app, ["public.users"])
    [message] = sent(app)
    assert message.payload[1] == {"table": "public.users", "requested": True}
    assert not message.properties.get("expiration")
    assert processed(app, task=f"{TASK_NAME}.table", **message.payload[1]) == 10
    world.assert_equal()


def test_staged_rows_are_loaded_on_request(world: MemoryWorld, app: Celery) -> None:
    """`load_every` says how the rows of each run are loaded, so naming the table does not change it; `load` does."""
    world.tables[0]["load_every"] = "50d"
    app = application(world)
    assert processed(app, ["public.users"]) == 0
    assert world.sql("select jsonb_array_length(staged) from sync_watermarks") == [(1,)]
    assert processed(app, ["public.users"], load=True) == 10
    world.assert_equal()


def test_another_run_comes_first_and_a_pause_stays(world: MemoryWorld) -> None:
    """Two reasons that a request does not override: each has a status of its own."""
    world.sql("update sync_watermarks set paused = true")
    with Engine(world.config, world.settings) as engine:
        report = engine.tick(["public.users"]).tables[0]
        assert (report.status, report.error_type) == (Status.PAUSED, "Paused")
        world.sql("update sync_watermarks set paused = false")
        with Engine(world.config, world.settings) as other:
            other.ledger.leases.claim(["public.users"], run_id="r", holder="elsewhere:1")
            report = engine.tick(["public.users"]).tables[0]
            assert (report.status, report.error_type) == (Status.LOCKED, "LeaseHeld")
            assert "elsewhere:1" in (report.error or "")


def test_the_end_of_a_backfill_does_not_wait_for_the_schedule(world: MemoryWorld) -> None:
    """A table whose backfill was requested is due until the backfill has ended, whatever its interval is."""
    world.sql("alter table users alter name set storage plain")
    world.sql("insert into users (id, name) select g, repeat('x', 2000) from generate_series(11, 2000) g")
    world.sql("analyze users")
    world.tables[0]["max_mb_per_chunk"] = 1
    with Engine(world.config, world.settings) as engine:
        begun = engine.tick(["public.users"], full_refresh=True, leave_chunks=True).tables[0]
        assert begun.error_type == "BackfillUnderWay"
        while engine.take_chunk("public.users"):
            pass
        assert engine.tick(["public.users"], due_only=True, leave_chunks=True).tables[0].status is Status.OK
    world.assert_equal()
