"""The status router over a real ledger: what it shows, what it says when it cannot, and that it only reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient

from pgsnow.integrations.fastapi.router import status_router
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import Rejected
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.report import Status, TableReport
from pgsnow.model.settings.settings import PostgresSettings, Settings
from tests.progress import wait_until

SNOWFLAKE = {
    "SNOWFLAKE_ACCOUNT": "acct",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_PASSWORD": "hunter2-snowflake",
    "SNOWFLAKE_WAREHOUSE": "W",
    "SNOWFLAKE_DATABASE": "D",
    "SNOWFLAKE_SCHEMA": "S",
}


def config_of(*tables: str, **top: Any) -> SyncConfig:
    entries = [
        {"source": f"public.{name}", "target": f"a.{name}", "pk": "id", "watermark_column": "updated_at"}
        for name in tables
    ]
    return parse_config({"tables": entries, **top}, file="sync_config.yaml", env={})


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    made = Ledger(PostgresSettings.from_dsn(database))
    made.migrate()
    yield made
    made.close()


def ran(ledger: Ledger, table: str, status: Status, **facts: Any) -> None:
    """Record a run as an engine does."""
    [claim], _ = ledger.leases.claim([f"public.{table}"], run_id="run1", holder="test")
    report = TableReport(
        f"public.{table}", f"D.A.{table.upper()}", "run1", status, datetime.now(UTC), seconds=1.5, **facts
    )
    ledger.run_log.finish([(claim, report)])
    ledger.leases.release([claim])


def client_of(config: SyncConfig, database: str, **options: Any) -> TestClient:
    app = FastAPI()
    settings = Settings.from_env({"POSTGRES_DSN": database, **SNOWFLAKE})
    app.include_router(status_router(config, settings=settings, **options))
    return TestClient(app)


def status_at(config: SyncConfig, database: str) -> dict[str, Any]:
    with client_of(config, database) as client:
        answer = client.get("/sync/status")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def test_a_sync_that_is_well_is_ok_and_carries_the_plans_metrics(ledger: Ledger, database: str) -> None:
    ran(ledger, "users", Status.OK, rows_read=5, rows_inserted=3, rows_updated=2, lag_seconds=4.0)
    ran(ledger, "checkins", Status.IDLE, lag_seconds=9.0)
    shown = status_at(config_of("users", "checkins"), database)
    assert shown["state"] == "ok"
    assert shown["worst_lag_seconds"] is not None
    assert shown["last_success"] is not None
    metrics = shown["metrics"]
    assert metrics["sync_success_count"] == 2
    assert metrics["sync_failure_count"] == 0
    assert metrics["rows_processed"] == {"public.users": 5, "public.checkins": 0}
    assert metrics["last_sync_duration_seconds"] == pytest.approx(1.5, abs=1.0)
    assert [(t["table"], t["state"]) for t in shown["tables"]] == [
        ("public.users", "synced"),
        ("public.checkins", "no-changes"),
    ]
    assert {run["source_table"] for run in shown["runs"]} == {"public.users", "public.checkins"}


def test_the_state_of_all_is_that_of_the_worst_table(ledger: Ledger, database: str) -> None:
    config = config_of("good", "bad", "new")
    ran(ledger, "good", Status.OK)
    assert status_at(config, database)["state"] == "never-run", "two tables have not run yet"
    ran(ledger, "bad", Status.ERROR, error="no column pk")
    shown = status_at(config, database)
    assert shown["state"] == "failed"
    assert shown["tables"][1]["last_error"] == "no column pk"
    assert shown["metrics"]["sync_failure_count"] == 1


def test_rejected_rows_show(ledger: Ledger, database: str) -> None:
    ran(ledger, "users", Status.OK)
    [claim], _ = ledger.leases.claim(["public.users"], run_id="run2", holder="test")
    ledger.rejected_rows.add(claim, [Rejected({"id": "7"}, "too long", "name", {"id": 7})])
    ledger.leases.release([claim])
    shown = status_at(config_of("users"), database)
    assert shown["state"] == "rows-refused"
    assert shown["tables"][0]["open_errors"] == 1


def test_a_sync_that_has_fallen_silent_is_stuck_and_not_idle(ledger: Ledger, database: str) -> None:
    ran(ledger, "users", Status.IDLE)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE sync_watermarks SET last_run = last_run - interval '1 hour'")
    assert status_at(config_of("users"), database)["state"] == "stuck"


def test_a_table_that_is_switched_off_alarms_nobody(ledger: Ledger, database: str) -> None:
    ran(ledger, "users", Status.OK)
    config = parse_config(
        {
            "tables": [
                {"source": "public.users", "target": "a.users", "pk": "id", "watermark_column": "u"},
                {
                    "source": "public.old",
                    "target": "a.old",
                    "pk": "id",
                    "watermark_column": "u",
                    "enabled": False,
                },
            ]
        },
        file="sync_config.yaml",
        env={},
    )
    shown = status_at(config, database)
    assert (shown["state"], shown["tables"][1]["state"]) == ("ok", "off")


def test_a_ledger_that_is_away_is_a_503_with_the_reason_and_no_secret() -> None:
    dsn = "postgresql://app:hunter2-postgres@127.0.0.1:1/app?connect_timeout=2"
    with client_of(config_of("users"), dsn) as client:
        for path in ("/sync/status", "/sync/ready"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.json()["state"] == "unknown"
            assert answer.json()["error"]
            assert answer.json()["advice"]
            assert "hunter2" not in answer.text


@pytest.mark.parametrize(("seconds", "text"), [(5, "every 5 s"), (90, "every 1 min 30 s")])
def test_the_interval_is_shown_as_a_person_writes_it(
    ledger: Ledger, database: str, seconds: int, text: str
) -> None:
    ran(ledger, "users", Status.IDLE)
    with client_of(config_of("users", sync_interval_seconds=seconds), database) as client:
        assert text in client.get("/sync/").text


def test_a_service_that_watches_by_head_gets_the_same_code(ledger: Ledger, database: str) -> None:
    """Many ask that way, and would report a site as down that answers 405."""
    dsn = "postgresql://app@127.0.0.1:1/app?connect_timeout=2"
    with client_of(config_of("users"), dsn) as client:
        assert client.head("/sync/ready").status_code == 503
    ran(ledger, "users", Status.IDLE)
    with client_of(config_of("users"), database) as client:
        for path in ("/sync/", "/sync/ready", "/sync/status", "/sync/runs", "/sync/static/style.css"):
            assert client.head(path).status_code == client.get(path).status_code == 200, path
        described = client.get("/openapi.json").json()["paths"]
    assert not any("head" in methods for methods in described.values())


def test_before_the_first_run_it_says_how_the_ledger_is_made(database: str) -> None:
    with client_of(config_of("users"), database) as client:
        answer = client.get("/sync/status")
    assert answer.status_code == 503
    assert "first run" in answer.json()["advice"]


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    app = FastAPI()
    app.include_router(status_router(config_of("users")))
    with TestClient(app) as client:
        answer = client.get("/sync/status")
    assert answer.status_code == 503
    assert "POSTGRES_DSN" in answer.json()["error"]


def test_a_web_process_needs_no_credentials_of_snowflake(
    ledger: Ledger, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """It reads the ledger alone; what it does not need is not asked for, and cannot leak from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_DSN", database)
    app = FastAPI()
    app.include_router(status_router(config_of("users")))
    with TestClient(app) as client:
        assert client.get("/sync/status").status_code == 200


def test_it_writes_nothing(ledger: Ledger, database: str) -> None:
    """A role that may only read the ledger's tables is enough."""
    ran(ledger, "users", Status.OK)
    reader = f"reader_{database.rsplit('/', 1)[1]}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {reader} LOGIN")
        conn.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    try:
        shown = status_at(config_of("users"), database.replace("postgres@", f"{reader}@"))
        assert shown["state"] == "ok"
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {reader}")
            conn.execute(f"DROP ROLE {reader}")


def test_an_application_may_put_it_behind_its_own_authentication(ledger: Ledger, database: str) -> None:
    def nobody() -> None:
        raise HTTPException(401)

    with client_of(config_of("users"), database, dependencies=[Depends(nobody)], prefix="/ops") as client:
        assert client.get("/ops/status").status_code == 401


def test_its_connection_ends_with_the_application(ledger: Ledger, database: str) -> None:
    def sessions() -> int:
        with psycopg.connect(database) as conn:
            row = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchone()
        assert row
        return int(row[0])

    ledger.close()
    with client_of(config_of("users"), database) as client:
        client.get("/sync/ready")
        assert sessions() == 1
    wait_until(lambda: sessions() == 0, "no session is left")


def test_a_ledger_that_the_application_gave_is_left_open(ledger: Ledger, database: str) -> None:
    with client_of(config_of("users"), database, ledger=ledger) as client:
        assert client.get("/sync/ready").json() == {"ledger": "ok"}
    assert ledger.run_log.watermarks() == []
