"""The beat schedule and the task, under the plan's names however the application is imported."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from backend.worker.sync_utils import BACKEND

ASK = """
import json
from {package}.celery_app import celery
from {package}.sync import sync_postgres_to_snowflake
celery.finalize()
task = celery.tasks["worker.sync.sync_postgres_to_snowflake"]
print(json.dumps({{
    "same": task.name == sync_postgres_to_snowflake.name,
    "max_retries": task.max_retries,
    "beat": celery.conf.beat_schedule,
    "broker": celery.conf.broker_url,
}}))
"""
PLACES = [
    pytest.param("worker", BACKEND, id="cwd backend"),
    pytest.param("backend.worker", BACKEND.parent, id="cwd root"),
]


@functools.cache
def asked(package: str, cwd: Any, **env: str) -> dict[str, Any]:
    """Answers of a process of its own about the application; each question is asked once."""
    ran = subprocess.run(
        [sys.executable, "-c", ASK.format(package=package)],
        cwd=cwd, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


@pytest.mark.parametrize(("package", "cwd"), PLACES)
def test_beat_sends_the_plans_task_every_two_minutes(package: str, cwd: Any) -> None:
    entry = asked(package, cwd)["beat"]["sync-postgres-to-sf-every-2-minutes"]
    assert entry["task"] == "worker.sync.sync_postgres_to_snowflake"
    assert entry["schedule"] == 120.0


@pytest.mark.parametrize(("package", "cwd"), PLACES)
def test_the_task_has_the_plans_name_and_retries(package: str, cwd: Any) -> None:
    answer = asked(package, cwd)
    assert answer["same"]
    assert answer["max_retries"] == 5


def test_the_broker_is_the_one_of_the_environment() -> None:
    url = "redis://broker.internal:6379/3"
    assert asked("worker", BACKEND, CELERY_BROKER_URL=url)["broker"] == url
