"""A Celery worker sends alerts and the heartbeat after its ticks, without letting the task wait for them."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from pgsnow.integrations.celery.engine_task import EngineTasks
from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.model.errors import LedgerUnavailable
from tests.inbox import Inbox
from tests.progress import CEILING, wait_until
from tests.world import MemoryWorld


def task_of(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, EngineTasks]:
    """The task of an application with the world's configuration, and what the worker keeps for it."""
    kept: list[EngineTasks] = []
    made = EngineTasks.__init__

    def keep(self: EngineTasks, *args: Any) -> None:
        made(self, *args)
        kept.append(self)

    monkeypatch.setattr(EngineTasks, "__init__", keep)
    world.options |= options
    app = Celery("host", broker="memory://")
    install(app, world.config, settings=world.settings)
    app.finalize()
    return app.tasks[TASK_NAME], kept[0]


@pytest.mark.parametrize("execution", ["single", "distributed"])
def test_a_tick_of_a_worker_sends_the_heartbeat_and_what_is_wrong(
    alerted: MemoryWorld, receiver: Inbox, monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    """The task ends while the receiver has not answered yet; the message arrives all the same."""
    alerted.sql("alter table users rename to people")
    task, tasks = task_of(alerted, monkeypatch, heartbeat_url=f"{receiver.url}/beat", execution=execution)
    receiver.hold.clear()
    assert task.apply().result["sync_failure_count"] == 1
    assert receiver.arrived.acquire(timeout=CEILING)
    receiver.hold.set()
    wait_until(lambda: receiver.paths and receiver.bodies, "the heartbeat and the message arrive")
    tasks.close()
    assert receiver.paths == ["/beat"]
    assert receiver.bodies[0]["title"].startswith("public.users is blocked")


def test_a_tick_without_a_ledger_requests_the_other_address(
    memory_world: MemoryWorld, receiver: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be read or recorded then, so a service outside is the only one to notice. After the last retry."""
    memory_world.through({"LEDGER_DSN": "postgresql://127.0.0.1:1/none?connect_timeout=2"})
    beats = {"heartbeat_url": f"{receiver.url}/ok", "heartbeat_fail_url": f"{receiver.url}/fail"}
    task, tasks = task_of(memory_world, monkeypatch, **beats)
    assert isinstance(task.apply(retries=5).result, LedgerUnavailable)
    tasks.close()
    assert receiver.paths == ["/fail"]
