"""An error that pgsnow does not know may quote a connection string: its text is shown nowhere, its traceback at
debug alone and without the secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from celery import Celery
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pgsnow.cli.invocation import Invocation
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.integrations.celery import TASK_NAME, install
from pgsnow.integrations.celery.engine_task import EngineTasks
from pgsnow.integrations.fastapi import status_router
from pgsnow.ledger.run_log import RunLog
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event
from pgsnow.sync.runtime.log import configure
from tests.acceptance.cli_user import SECRET, User
from tests.world import USERS, World

CANARIES = ("pg-c4nary-w0rd", "sf-c4nary-w0rd")
LEDGER = ("sync_watermarks", "sync_logs", "sync_errors")


@pytest.fixture
def leaky(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, tmp_path: Path
) -> Iterator[World]:
    """A world whose settings hold passwords (Postgres asks for none, and Snowflake is not reached)."""
    dsn = database.replace("postgres@", f"postgres:{CANARIES[0]}@", 1)
    world = World(
        {"POSTGRES_DSN": dsn, **snowflake_env, "SNOWFLAKE_PASSWORD": CANARIES[1]}, emulator, tmp_path
    )
    world.sql(USERS)
    yield world
    world.close()


class Leak:
    """Raises an error whose text quotes the DSN and the bare password of Snowflake, when called with anything."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __call__(self, *_: object, **__: object) -> NoReturn:
        try:
            raise ConnectionError(f"cannot reach {self._dsn}")
        except ConnectionError as error:
            raise RuntimeError(f"no login with {CANARIES[1]} at {self._dsn}") from error

    def at_start(self, event: Event) -> None:
        """As an engine's observer: the first thing of a run fails."""
        if event.phase == "started":
            self()


def logged(level: int) -> io.StringIO:
    stream = io.StringIO()
    configure("json", stream, level)
    return stream


def assert_silent(where: str, text: str) -> None:
    assert [canary for canary in (*CANARIES, SECRET) if canary in text] == [], where


def ledger_of(world: World) -> str:
    return "\n".join(str(world.sql(f"select row_to_json(t) from {table} t")) for table in LEDGER)


def status_of(world: World) -> str:
    app = FastAPI()
    app.include_router(status_router(world.config, settings=world.settings))
    with TestClient(app) as client:
        return str(client.get("/sync/status").text)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_report_ledger_status_and_log_name_the_class_and_the_place_alone(leaky: World, level: int) -> None:
    log = logged(level)
    with leaky.engine(Leak(leaky.env["POSTGRES_DSN"]).at_start) as engine:
        report = engine.tick()
    for where, text in {
        "report": json.dumps(report.to_json()),
        "ledger": ledger_of(leaky),
        "status": status_of(leaky),
        "log": log.getvalue(),
    }.items():
        assert_silent(where, text)
        assert "unexpected RuntimeError at pgsnow." in text, where
    assert "DEBUG" in (report.tables[0].advice or "")
    assert ("Traceback" in log.getvalue()) is (level == logging.DEBUG)


def test_the_debug_log_has_the_traceback_with_everything_but_the_secrets(leaky: World) -> None:
    log = logged(logging.DEBUG)
    with leaky.engine(Leak(leaky.env["POSTGRES_DSN"]).at_start) as engine:
        engine.tick()
    [trace] = [
        line["exception"] for line in map(json.loads, log.getvalue().splitlines()) if "exception" in line
    ]
    assert "RuntimeError: no login with *** at postgresql://postgres:***@" in trace
    assert "ConnectionError: cannot reach postgresql://postgres:***@" in trace
    assert "test_unknown_errors.py" in trace


@pytest.mark.parametrize("debug", [False, True])
def test_the_command_line_shows_neither(user: User, monkeypatch: pytest.MonkeyPatch, debug: bool) -> None:
    def engine(self: Invocation, _observer: object = None) -> Engine:
        return Engine(*self.load(), observer=Leak(user.dsn).at_start)

    monkeypatch.setattr(Invocation, "engine", engine)
    monkeypatch.setattr("tests.acceptance.cli_user.seen", lambda done: done)
    done = user.here("run", *(["--debug"] if debug else []), SNOWFLAKE_PASSWORD=CANARIES[1])
    assert done.code == 1
    assert "unexpected RuntimeError at pgsnow." in done.err
    assert ("Traceback" in done.err) is debug
    for command in (["status", "-o", "json"], ["status"]):
        assert_silent("status", str(user.here(*command)))
    assert_silent("run", done.out + done.err)


@pytest.mark.parametrize("debug", [False, True])
def test_a_command_that_fails_as_a_whole_shows_neither(
    user: User, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    monkeypatch.setattr("pgsnow.sync.engine.Engine.tick", Leak(user.dsn))
    monkeypatch.setattr("tests.acceptance.cli_user.seen", lambda done: done)
    done = user.here("run", *(["--debug"] if debug else []), SNOWFLAKE_PASSWORD=CANARIES[1])
    assert done.code == 2
    assert "RuntimeError" in done.err
    assert ("Traceback" in done.err) is debug
    assert_silent("run", done.out + done.err)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
@pytest.mark.parametrize("whole", [False, True], ids=["a table", "the tick"])
def test_the_task_s_result_and_log_show_neither(
    leaky: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, level: int, whole: bool
) -> None:
    leak = Leak(leaky.env["POSTGRES_DSN"])

    def engine(tasks: EngineTasks) -> Engine:
        return Engine(tasks.config, tasks.source.settings(), observer=leak.at_start)

    monkeypatch.setattr(EngineTasks, "_make_engine", engine)
    if whole:
        monkeypatch.setattr(Engine, "tick", leak)
    log = logged(level)
    app = Celery("host", broker="memory://")
    install(app, leaky.config, settings=leaky.settings)
    app.finalize()
    with caplog.at_level(level):
        ended = app.tasks[TASK_NAME].apply()
    assert ended.failed() is whole
    assert_silent("result", f"{ended.result!r} {ended.traceback}")
    assert_silent("log", log.getvalue() + caplog.text)
    assert "unexpected RuntimeError" in log.getvalue()
    assert ("Traceback" in log.getvalue()) is (level == logging.DEBUG)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_the_status_document_shows_neither(
    leaky: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    monkeypatch.setattr(RunLog, "watermarks", Leak(leaky.env["POSTGRES_DSN"]))
    log = logged(level)
    app = FastAPI()
    app.include_router(status_router(leaky.config, settings=leaky.settings))
    with caplog.at_level(level), TestClient(app) as client:
        answer = client.get("/sync/status")
    assert answer.status_code == 500
    assert "unexpected RuntimeError" in answer.json()["error"]
    assert_silent("document", answer.text)
    assert_silent("log", log.getvalue() + caplog.text)
    assert "unexpected RuntimeError" in log.getvalue()


def test_a_transform_s_module_that_cannot_be_imported_shows_neither(
    leaky: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (leaky.folder / "leaky_transforms.py").write_text(
        f"raise ValueError('cannot parse {leaky.env['POSTGRES_DSN']}')\n"
    )
    monkeypatch.syspath_prepend(str(leaky.folder))
    leaky.tables[0]["transform"] = {"function": "leaky_transforms:change"}
    log = logged(logging.DEBUG)
    with leaky.engine() as engine:
        report = engine.tick()
    assert "importing leaky_transforms raised ValueError" in (report.tables[0].error or "")
    assert_silent("report", json.dumps(report.to_json()))
    assert_silent("ledger", ledger_of(leaky))
    assert_silent("log", log.getvalue())


def test_a_row_that_a_function_rejects_names_no_password(
    leaky: World, snowflake_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the function's own error is kept: it says what is wrong with the row."""
    (leaky.folder / "strict_transforms.py").write_text(
        f"def change(row):\n    raise ValueError('unlucky: {leaky.env['POSTGRES_DSN']}')\n"
    )
    monkeypatch.syspath_prepend(str(leaky.folder))
    leaky.tables[0]["transform"] = {"function": "strict_transforms:change"}
    leaky.sql("insert into users (id) values (1)")
    leaky.through(snowflake_env)  # with the password that the emulator takes
    with leaky.engine() as engine:
        engine.tick()
    [(reason,)] = leaky.sql("select reason from sync_errors")
    assert "ValueError: unlucky: postgresql://postgres:***@" in reason
    assert_silent("ledger", ledger_of(leaky))
