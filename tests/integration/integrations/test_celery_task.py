"""The task retries an error that may pass five times, and an error that needs a fix not at all."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from celery import Celery

from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import ConfigError, LedgerUnavailable
from pgsnow.model.settings.settings import Settings

USERS = {"source": "public.users", "target": "analytics.users", "pk": "id", "watermark_column": "updated_at"}
NOWHERE = {
    "SNOWFLAKE_ACCOUNT": "acct",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_PASSWORD": "hunter2",
    "SNOWFLAKE_WAREHOUSE": "W",
    "SNOWFLAKE_DATABASE": "D",
    "SNOWFLAKE_SCHEMA": "S",
}


def task_of(settings: Settings | None, **table: Any) -> Any:
    config = parse_config({"tables": [{**USERS, **table}]}, file="sync_config.yaml", env={})
    app = Celery("host", broker="memory://")
    install(app, config, settings=settings)
    app.finalize()
    return app.tasks[TASK_NAME]


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


def test_a_failure_that_may_pass_is_tried_five_times_more_with_growing_random_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings.from_env(
        {"POSTGRES_DSN": "postgresql://127.0.0.1:1/app?connect_timeout=2", **NOWHERE}
    )
    ended = task_of(settings).apply()
    assert isinstance(ended.result, LedgerUnavailable)
    pauses = [e["retry_in_seconds"] for e in events(caplog) if e["event"] == "tick failed and is tried again"]
    assert len(pauses) == 5
    assert all(0 <= pause <= 2 * 2**retry for retry, pause in enumerate(pauses))
    assert events(caplog)[-1]["event"] == "tick failed; the next one tries again"
    assert "hunter2" not in caplog.text


def test_a_failure_that_needs_a_fix_is_not_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = task_of(None).apply()
    assert isinstance(ended.result, ConfigError)
    assert [e["event"] for e in events(caplog)] == ["tick failed"]


def test_a_table_that_needs_a_fix_is_in_the_ledger_and_not_tried_again(
    settings: Settings, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The tick itself has done its work: the task succeeds, and the table says what it lacks."""
    ended = task_of(settings).apply()
    assert ended.successful()
    assert ended.result["sync_failure_count"] == 1
    assert "tick failed and is tried again" not in [e["event"] for e in events(caplog)]
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT last_status, last_error FROM sync_watermarks").fetchone()
    assert row is not None
    assert row[0] == "error"
    assert "public.users" in row[1]


def test_it_takes_a_list_of_tables_and_refuses_one_that_is_not_configured(settings: Settings) -> None:
    ended = task_of(settings).apply(args=[["public.user"]])
    assert isinstance(ended.result, ConfigError)
    assert "did you mean public.users" in str(ended.result)


def test_a_second_message_within_the_interval_does_nothing(settings: Settings, database: str) -> None:
    """As after a redelivery, or from a second beat."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE users (id int PRIMARY KEY, updated_at timestamptz DEFAULT now())")
        conn.execute("INSERT INTO users VALUES (1)")
        task = task_of(settings)
        assert task.apply().result["rows_processed"] == {"public.users": 1}
        conn.execute("INSERT INTO users VALUES (2)")
        assert task.apply().result["sync_success_count"] == 0
        runs = conn.execute("SELECT count(*) FROM sync_logs").fetchone()
    assert runs == (1,)
