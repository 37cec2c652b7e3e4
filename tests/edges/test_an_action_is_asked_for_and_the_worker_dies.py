"""A person asks for a run, a resync or a replay, and the worker that took the request is killed.

Group: process
Danger: a button starts the work in the web process, which holds connections and locks that the worker needs, and which
is restarted in the middle; or two workers do it at once; or nobody does it, and the page says "requested" for ever.
Answer: a request is a row of the ledger (`sync_requests`), added once however often the button is clicked. The next
tick of any worker takes it, carries it out exactly once, whether the table is due or backing off or not, and records
how it ended. A request whose worker died is taken again; one whose table another run has waits for the next tick; one
for a table that nobody knows ends with the reason.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from celery import Celery
from kombu import Message

from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.ledger.requests.requests import Request, RequestAction, RequestState
from pgsnow.model.errors import LedgerUnavailable
from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from tests.progress import wait_until
from tests.world import MemoryWorld

NAME = "public.users"
_APPS = itertools.count()


@pytest.fixture
def world(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users that were loaded a moment ago and have changed since; the table is due once a day."""
    memory_world.tables[0]["every"] = "1d"
    memory_world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 10) g")
    with memory_world.engine() as engine:
        assert engine.tick(due_only=True).tables[0].rows_inserted == 10
    memory_world.sql("update users set name = 'changed', updated_at = now()")
    return memory_world


def ended(engine: Engine, request: Request) -> Request:
    """The request as it is now."""
    found = engine.ledger.requests.get(request.id)
    assert found is not None
    return found


def test_a_run_that_is_asked_for_takes_place_at_the_next_tick_once(world: MemoryWorld) -> None:
    """The tick finds its own table not due, and carries out the request; the log says who started the run."""
    with world.engine() as engine:
        asked = engine.ledger.requests.add(NAME, RequestAction.RUN, by="ann")
        assert engine.ledger.requests.add(NAME, RequestAction.RUN, by="ann").id == asked.id
        assert engine.tick(due_only=True).tables[0].status is Status.NOT_DUE
        done = ended(engine, asked)
        assert (done.state, done.status, done.error, done.attempts) == (RequestState.DONE, "ok", None, 1)
        engine.tick(due_only=True)
        newest, first = engine.ledger.history.runs(table=NAME)
        assert (newest.run_id, newest.rows_updated) == (done.run_id, 10)
        assert (newest.requested_by, first.requested_by) == (f"request {asked.id}", "schedule")
        assert [tick.asked_by for tick in engine.ledger.ticks.seen()] == ["schedule"]
    world.assert_equal()


def test_the_request_of_a_worker_that_died_is_carried_out_by_another(world: MemoryWorld) -> None:
    """Killing a worker delays a request until the next tick, and loses none."""
    with world.engine() as engine, world.new_engine() as dead:
        asked = engine.ledger.requests.add(NAME, RequestAction.RESYNC, by="ann")
        assert dead.ledger.requests.take("dead:1", [NAME]) is not None
        engine.tick(due_only=True)
        assert ended(engine, asked).state is RequestState.TAKEN
        dead.ledger.close()

        def carried_out() -> bool:
            engine.tick(due_only=True)  # the server may still be ending the dead worker's session
            return ended(engine, asked).state is RequestState.DONE

        wait_until(carried_out, "the request of the dead worker is still taken")
        done = ended(engine, asked)
        assert (done.state, done.status, done.attempts) == (RequestState.DONE, "ok", 2)
        assert done.run_id is not None
        run = engine.ledger.history.run(done.run_id, NAME)
        assert run is not None
        assert run.full_read is not None
    world.assert_equal()


def test_a_request_for_a_table_that_is_not_free_waits_and_one_that_fails_says_why(world: MemoryWorld) -> None:
    """A run in progress is not disturbed; a paused table stays paused; a table that fails again is told so."""
    with world.engine() as engine, world.new_engine() as other:
        claims, _ = other.ledger.leases.claim([NAME], run_id="r", holder="elsewhere:1")
        asked = engine.ledger.requests.add(NAME, RequestAction.RUN, by="ann")
        engine.tick(due_only=True)
        waiting = ended(engine, asked)
        assert waiting.state is RequestState.OPEN
        assert "elsewhere:1" in (waiting.error or "")
        other.ledger.leases.release(claims)
        engine.ledger.requests.add(NAME, RequestAction.PAUSE, by="ann")
        engine.tick(due_only=True)
        paused = ended(engine, asked)
        assert (paused.state, paused.status) == (RequestState.FAILED, "paused")
        engine.ledger.requests.add(NAME, RequestAction.RESUME, by="ann")
        world.sql("alter table users rename column name to old; alter table users drop column updated_at")
        failing = engine.ledger.requests.add(NAME, RequestAction.RUN, by="ann")
        engine.tick(due_only=True)
        failed = ended(engine, failing)
        assert (failed.state, failed.status) == (RequestState.FAILED, "error")
        assert "updated_at" in (failed.error or "")


def test_a_request_that_met_a_busy_ledger_is_carried_out_by_the_next_tick_of_the_same_worker(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock timeout of the ledger does not end the worker's session, by which others see that it lives: the request
    must not stay with it until that process ends. The report of the tick's own runs is not lost either."""
    with world.engine() as engine:
        asked = engine.ledger.requests.add(NAME, RequestAction.RUN, by="ann")
        claim = type(engine.ledger.leases).claim

        def busy(leases: Any, *given: Any, **named: Any) -> Any:
            if named["asked_by"].startswith("request"):
                raise LedgerUnavailable("ledger: lock timeout")
            return claim(leases, *given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(type(engine.ledger.leases), "claim", busy)
            assert engine.tick(due_only=True).tables[0].status is Status.NOT_DUE
        waiting = ended(engine, asked)
        assert (waiting.state, waiting.error) == (RequestState.OPEN, "ledger: lock timeout")
        engine.tick(due_only=True)
        assert ended(engine, asked).status == "ok"
    world.assert_equal()


def test_requests_that_nobody_can_carry_out_end_with_the_reason(world: MemoryWorld) -> None:
    """A misspelt table, an id that is no open row, a request for all tables: each of them ends."""
    with world.engine() as engine:
        requests = engine.ledger.requests
        unknown = requests.add("public.usres", RequestAction.RUN, by="ann")
        nothing = requests.add(NAME, RequestAction.REPLAY, by="ann")
        gone = requests.add(NAME, RequestAction.REPLAY, {"ids": [77]}, by="ann")
        every = requests.add(None, RequestAction.RUN, by="ann")
        engine.tick(due_only=True)
        assert ended(engine, unknown).state is RequestState.FAILED
        assert "usres" in (ended(engine, unknown).error or "")
        assert [ended(engine, one).status for one in (nothing, gone)] == ["nothing to do"] * 2
        assert (ended(engine, every).state, ended(engine, every).status) == (RequestState.DONE, "ok")
        assert requests.open() == []
    world.assert_equal()


def test_a_replay_that_is_asked_for_loads_the_rows_that_were_rejected(memory_world: MemoryWorld) -> None:
    """After the cause is fixed, a click on "replay" is enough."""
    memory_world.sql("insert into users (id, balance) values (1, 1), (2, 'NaN')")
    with memory_world.engine() as engine:
        assert engine.tick().tables[0].rows_rejected == 1
        memory_world.sql("update users set balance = 2 where id = 2")
        asked = engine.ledger.requests.add(NAME, RequestAction.REPLAY, by="ann")
        with memory_world.engine() as worker:
            worker.carry_out_requests()
        assert ended(engine, asked).status == "ok"
        assert engine.ledger.rejected_rows.page(table=NAME) == []
    memory_world.assert_equal()


def test_with_distributed_execution_a_message_carries_out_the_request_once(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick sends a message for the request; a second message for it finds nothing to do."""
    make = Engine.__init__

    def in_memory(self: Engine, config: Any, settings: Any, **_given: Any) -> None:
        from pgsnow.testing.destination import memory_destination

        make(self, config, settings, destination=memory_destination(world.warehouse))

    monkeypatch.setattr(Engine, "__init__", in_memory)
    world.options["execution"] = "distributed"
    app = Celery("host", broker="memory://")
    app.conf.task_default_queue = f"asked-{next(_APPS)}"
    install(app, world.config, settings=world.settings)
    app.finalize()
    with Engine(world.config, world.settings) as page:
        asked = page.ledger.requests.add(NAME, RequestAction.RUN, by="ann")
        assert app.tasks[TASK_NAME].apply().successful()
        [message] = waiting_in(app)
        assert message == {"table": "", "request": asked.id}
        task = app.tasks[f"{TASK_NAME}.table"]
        assert task.apply(kwargs=message).result["rows_processed"] == {NAME: 10}
        assert task.apply(kwargs=message).result == {}
        assert ended(page, asked).status == "ok"
        assert app.tasks[TASK_NAME].apply().successful()
        assert waiting_in(app) == []
    world.assert_equal()


def waiting_in(app: Celery) -> list[dict[str, Any]]:
    """The arguments of the messages that wait, which are taken."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.queue_declare(app.conf.task_default_queue)
        found: list[Message] = list(
            iter(lambda: channel.basic_get(app.conf.task_default_queue, no_ack=True), None)
        )
        return [message.payload[1] for message in found]
