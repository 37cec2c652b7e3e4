"""Rows of a real Postgres reach Snowflake (the emulator) through the backend's commands, and the watermark moves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backend.worker.sync_utils import BACKEND
from pgsnow.model.settings import Settings
from pgsnow.snowflake.session import Session, connect
from tests.forked import run_forked

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, email text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE checkins (id int PRIMARY KEY, user_id int, last_modified timestamptz NOT NULL DEFAULT now());
INSERT INTO users (id, email) SELECT n, 'u' || n || '@acme.io' FROM generate_series(1, 1200) n;
INSERT INTO checkins (id, user_id) SELECT n, n % 7 FROM generate_series(1, 50) n;
"""


@pytest.fixture
def source(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TABLES)
        yield conn


@pytest.fixture
def target(settings: Settings) -> Iterator[Session]:
    with connect(settings.snowflake, query_tag="test") as session:
        yield session


@pytest.fixture
def environment(database: str, snowflake_env: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "POSTGRES_DSN": database, **snowflake_env}


def sync_by_hand(environment: dict[str, str], *tables: str) -> dict[str, Any]:
    running = run_forked("worker.sync", tables, env=environment, cwd=BACKEND)
    code = running.wait()
    out, err = running.output()
    assert code == 0, out + err
    report: dict[str, Any] = json.loads(out)
    return report


def test_round_trip_of_all_tables_by_hand(
    source: psycopg.Connection[Any], target: Session, environment: dict[str, str]
) -> None:
    """Everything at first, then what has changed, then nothing."""
    first = sync_by_hand(environment)
    assert first["rows_processed"] == {"public.users": 1200, "public.checkins": 50}
    assert first["sync_success_count"] == 2

    source.execute("UPDATE users SET email = 'new@acme.io', updated_at = now() WHERE id = 7")
    source.execute("INSERT INTO users (id, email) VALUES (2000, '')")
    second = sync_by_hand(environment)
    assert second["rows_processed"] == {"public.users": 2, "public.checkins": 0}
    rows = target.execute(
        'SELECT "ID", "EMAIL" FROM "ANALYTICS"."USERS" WHERE "ID" IN (6, 7, 2000) ORDER BY "ID"'
    ).rows
    assert [tuple(row) for row in rows] == [(6, "u6@acme.io"), (7, "new@acme.io"), (2000, "")]

    third = sync_by_hand(environment)
    assert third["rows_processed"] == {"public.users": 0, "public.checkins": 0}
    states = source.execute("SELECT source_table, last_status FROM sync_watermarks ORDER BY 1").fetchall()
    assert states == [("public.checkins", "idle"), ("public.users", "idle")]


def test_round_trip_leaves_the_watermark_of_the_newest_row(
    source: psycopg.Connection[Any], target: Session, environment: dict[str, str]
) -> None:
    source.execute("UPDATE users SET updated_at = '2031-05-06 07:08:09.123456+00' WHERE id = 1")
    sync_by_hand(environment, "public.users")
    row = source.execute(
        "SELECT last_watermark::text, last_status, last_error, rows_processed FROM sync_watermarks"
        " WHERE source_table = 'public.users'"
    ).fetchone()
    assert row == ("2031-05-06 07:08:09.123456", "ok", None, 1200)
    assert target.execute('SELECT count(*) FROM "ANALYTICS"."USERS"').rows[0][0] == 1200


def test_one_table_by_hand_leaves_the_others_alone(
    source: psycopg.Connection[Any], environment: dict[str, str]
) -> None:
    report = sync_by_hand(environment, "public.checkins")
    assert report["rows_processed"] == {"public.checkins": 50}
    assert source.execute("SELECT source_table FROM sync_watermarks").fetchall() == [("public.checkins",)]
