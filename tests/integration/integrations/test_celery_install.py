"""`install` adds a task and a beat entry to an application, and changes nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from pgsnow.integrations.celery.install import BEAT_ENTRY, GRACE_SECONDS, TASK_NAME, install
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.errors import ConfigError

TABLES = [{"source": "public.t", "target": "analytics.t", "pk": "id", "watermark_column": "updated_at"}]
YAML = "tables: [{source: public.t, target: analytics.t, pk: id, watermark_column: updated_at}]\n"


def config_of(**top: Any) -> SyncConfig:
    return parse_config({"tables": TABLES, **top}, file="sync_config.yaml", env={})


def finalized(app: Celery) -> Celery:
    app.finalize()
    return app


def run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)


def test_beat_sends_the_task_at_the_configured_interval_and_messages_expire_with_it() -> None:
    app = Celery("host")
    install(app, config_of(sync_interval_seconds=45), queue="sync")
    assert finalized(app).conf.beat_schedule[BEAT_ENTRY] == {
        "task": TASK_NAME,
        "schedule": 45.0,
        "options": {"expires": 45.0, "queue": "sync"},
    }


def test_the_hosts_own_schedule_stays_whether_it_comes_before_or_after() -> None:
    other = {"task": "host.other", "schedule": 10.0}
    before, after = Celery("before"), Celery("after")
    before.conf.beat_schedule = {"other": other}
    install(before, config_of())
    install(after, config_of())
    after.conf.beat_schedule = {"other": other}
    for app in (before, after):
        assert set(finalized(app).conf.beat_schedule) == {"other", BEAT_ENTRY}
        assert app.conf.beat_schedule["other"] == other


def test_an_entry_of_this_name_that_the_host_wrote_is_left_as_it_is() -> None:
    app = Celery("host")
    app.conf.beat_schedule = {BEAT_ENTRY: {"task": TASK_NAME, "schedule": 600.0}}
    install(app, config_of())
    assert finalized(app).conf.beat_schedule[BEAT_ENTRY] == {"task": TASK_NAME, "schedule": 600.0}


def test_an_application_that_is_complete_already_gets_the_entry_at_once() -> None:
    app = finalized(Celery("host"))
    install(app, config_of())
    assert BEAT_ENTRY in app.conf.beat_schedule
    assert TASK_NAME in app.tasks


def test_the_task_survives_a_lost_worker_and_has_its_limits_to_itself() -> None:
    app = Celery("host")
    install(app, config_of(task_time_limit_seconds=100))
    task = finalized(app).tasks[TASK_NAME]
    assert task.max_retries == 5
    assert task.acks_late
    assert task.reject_on_worker_lost
    assert task.ignore_result
    assert (task.soft_time_limit, task.time_limit) == (100, 100 + GRACE_SECONDS)
    assert (app.conf.task_time_limit, app.conf.task_acks_late) == (None, False), (
        "the host's own are untouched"
    )


def test_the_task_stays_in_the_application_it_was_installed_in() -> None:
    install(Celery("host"), config_of())
    assert TASK_NAME not in finalized(Celery("neighbour")).tasks


def test_two_applications_of_one_process_may_each_have_their_own() -> None:
    one, two = Celery("one"), Celery("two")
    install(one, config_of(sync_interval_seconds=10), task_name="one.sync", beat_entry="one")
    install(two, config_of(sync_interval_seconds=20), task_name="two.sync", beat_entry="two")
    assert finalized(one).conf.beat_schedule["one"]["schedule"] == 10
    assert finalized(two).conf.beat_schedule["two"]["schedule"] == 20
    assert "two.sync" not in one.tasks


@pytest.mark.parametrize("form", ["path", "text", "function", "configuration"])
def test_the_table_list_may_be_given_in_each_form(tmp_path: Path, form: str) -> None:
    file = tmp_path / "sync_config.yaml"
    file.write_text(YAML)
    given: Any = {"path": file, "text": str(file), "function": config_of, "configuration": config_of()}[form]
    app = Celery("host")
    install(app, given)
    assert finalized(app).conf.beat_schedule[BEAT_ENTRY]["schedule"] == 120.0


def test_a_wrong_table_list_is_refused_where_it_is_installed_if_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "sync_config.yaml").write_text("tables: [{source: public.t, pk: [], watermark_colum: u}]")
    with pytest.raises(ConfigError) as refused:
        install(Celery("host"), tmp_path / "sync_config.yaml", strict=True)
    assert len(refused.value.problems) >= 3, "target is missing, pk is empty, and a key is unknown"


def test_nothing_heavy_is_imported_before_a_tick_runs(tmp_path: Path) -> None:
    """In a fresh interpreter, as in a worker's main process before it forks: not by install, not by
    finalize."""
    (tmp_path / "sync_config.yaml").write_text(YAML)
    heavy = (
        "pyarrow",
        "snowflake",
        "numpy",
        "psycopg",
        "boto3",
        "pandas",
    )
    ran = run_python(
        "import sys\n"
        "from celery import Celery\n"
        "from pgsnow.integrations.celery.install import install\n"
        "app = Celery('host'); install(app, 'sync_config.yaml'); app.finalize(); app.conf.beat_schedule\n"
        f"print(sorted({{name.split('.')[0] for name in sys.modules}} & set({heavy!r})))",
        cwd=tmp_path,
    )
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("extra", ["celery", "fastapi"])
def test_without_its_package_an_integration_says_what_to_install(tmp_path: Path, extra: str) -> None:
    ran = run_python(
        f"import sys; sys.modules[{extra!r}] = None\n"
        "from pgsnow.model.errors import MissingExtra\n"
        "try:\n"
        f"    import pgsnow.integrations.{extra}\n"
        "except MissingExtra as error:\n"
        "    print(error, '|', error.advice)",
        cwd=tmp_path,
    )
    assert ran.stdout.strip() == f"{extra} is not installed | pip install 'pgsnow[{extra}]'", ran.stderr
