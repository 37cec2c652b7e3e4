"""sync_config.yaml has a mistake when the application starts.

Group: process
Danger: a typo in the list of tables keeps the backend from being imported: its API, its workers and all of its other
tasks stand still, because of a file that only the sync needs.
Answer: `install` and `status_router` do their work all the same. Each problem is logged, when they are called and when
worker or beat start; ticks raise it, and `/sync/status` and `/sync/ready` answer with it. Once the file is right, all
of them go on by themselves. With `strict=True` the import fails instead.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pgsnow.integrations.celery.install import BEAT_ENTRY, TASK_NAME, install
from pgsnow.integrations.fastapi.router import status_router
from pgsnow.model.errors import ConfigError
from tests.world import MemoryWorld

RIGHT = """\
sync_interval_seconds: 60
tables:
  - source: public.users
    target: analytics.users
    watermark_column: updated_at
"""
WRONG = RIGHT.replace("watermark_column:", "watermark_colum:")
PROBLEM = "sync_config.yaml:5: tables[0].watermark_colum: is not a known key"
NO_YAML = RIGHT + "  - {source: [\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sync_config.yaml"
    path.write_text(WRONG)
    return path


def installed(file: Path, world: MemoryWorld) -> tuple[Celery, Any]:
    app = Celery("host", broker="redis://127.0.0.1:1/0")
    task = install(app, str(file), settings=world.settings)
    app.finalize()
    return app, task


def test_the_tasks_are_there_and_raise_it_until_the_file_is_right(
    file: Path, memory_world: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """The interval is taken from the file, although it is wrong elsewhere. Afterwards the task runs."""
    app, task = installed(file, memory_world)
    assert PROBLEM in caplog.text
    assert app.conf.beat_schedule[BEAT_ENTRY]["schedule"] == 60
    assert TASK_NAME in app.tasks
    with pytest.raises(ConfigError, match="watermark_colum"):
        task.apply(throw=True)
    file.write_text(NO_YAML)
    with pytest.raises(ConfigError, match="is not valid YAML"):
        task.apply(throw=True)
    file.write_text(RIGHT)
    memory_world.sql("alter table users rename to people")  # so that no Snowflake is asked
    assert task.apply(throw=True).get()["sync_failure_count"] == 1


def test_worker_and_beat_say_it_when_they_start(
    file: Path, memory_world: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """By then the process writes its log, which it may not have done when the application was imported."""
    app, _ = installed(file, memory_world)
    for signal in (signals.celeryd_after_setup, signals.beat_init):
        caplog.clear()
        signal.send(sender="test", instance=type("Worker", (), {"app": app}))
        assert PROBLEM in caplog.text


def test_a_broker_that_is_set_in_code_is_looked_at(
    file: Path, memory_world: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """No CELERY_BROKER_URL is needed for that."""
    app, _ = installed(file, memory_world)
    for url, is_told in (("redis://127.0.0.1:1/0", False), ("memory://", True)):
        caplog.clear()
        app.conf.broker_url = url
        signals.celeryd_after_setup.send(sender="test", instance=type("Worker", (), {"app": app}))
        assert ("loses the task of a killed worker" in caplog.text) == is_told


def test_the_status_shows_it(file: Path, memory_world: MemoryWorld) -> None:
    """Both answers have the problems; the application's own pages are not touched."""
    app = FastAPI()
    app.include_router(status_router(str(file), settings=memory_world.settings))
    with TestClient(app) as client:
        for page in ("/sync/status", "/sync/ready"):
            answer = client.get(page)
            assert answer.status_code == 503
            assert PROBLEM in json.dumps(answer.json()["problems"])
        file.write_text(RIGHT)
        assert client.get("/sync/status").json()["state"] == "never-run"
        assert client.get("/sync/ready").status_code == 200


def test_strict_refuses(file: Path, memory_world: MemoryWorld) -> None:
    """For an application that has nothing else to do."""
    with pytest.raises(ConfigError, match="watermark_colum"):
        install(Celery("host"), str(file), strict=True)
    with pytest.raises(ConfigError, match="watermark_colum"):
        status_router(str(file), strict=True)


@pytest.mark.parametrize("missing", ["no file", "a folder", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_such_a_mistake(
    file: Path, memory_world: MemoryWorld, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is known of its options then."""
    file.unlink()
    if missing == "a folder":
        file.mkdir()
    elif missing == "not UTF-8":
        file.write_bytes(b"tables: \xff")
    app, _ = installed(file, memory_world)
    assert "sync_config.yaml" in caplog.text
    assert app.conf.beat_schedule[BEAT_ENTRY]["schedule"] == 120


def test_ready_has_a_strict_form(file: Path, memory_world: MemoryWorld) -> None:
    """A ledger that answers is ready; strictly, only one of which every table is as it should be."""
    file.write_text(RIGHT)
    app = FastAPI()
    app.include_router(status_router(memory_world.config, settings=memory_world.settings))
    with TestClient(app) as client:
        answer = client.get("/sync/ready?strict=true")
        assert (answer.status_code, answer.json()["tables"]) == (503, {"public.users": "never-run"})
        with memory_world.engine() as engine:
            engine.tick()
        assert client.get("/sync/ready?strict=true").json() == {"ledger": "ok", "state": "ok", "tables": {}}
        memory_world.sql("update sync_watermarks set last_run = last_run - interval '1 day'")
        answer = client.get("/sync/ready?strict=true")
        assert (answer.status_code, answer.json()["state"]) == (503, "stuck")
        assert client.get("/sync/ready").status_code == 200
