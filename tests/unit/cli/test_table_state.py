"""A table's state in one word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.duration import approximate_duration
from pgsnow.operations.status.table_state import GRACE_SECONDS, PATIENCE, HealthState, health_of

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROW = WatermarkRow(
    source_table="public.users",
    target_table="A.B.USERS",
    last_watermark=None,
    last_run=NOW - timedelta(seconds=60),
    last_success=NOW - timedelta(seconds=60),
    last_status="ok",
    last_error=None,
    rows_processed=3,
    read_mode="watermark",
    lease_holder=None,
)
LONG_AGO = NOW - timedelta(hours=3)
FOUND = {"differences": {"counts": {"missing": 2, "ghost": 1}, "since": NOW.isoformat(), "keys": ["7", "8"]}}


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (None, HealthState.NEVER),
        (ROW._replace(last_run=None, last_status=None), HealthState.NEVER),
        (ROW._replace(last_run=None, last_status=None, lease_holder="host:1"), HealthState.RUNNING),
        (ROW, HealthState.SYNCED),
        (ROW._replace(last_status="idle"), HealthState.IDLE),
        (ROW._replace(lease_holder="host:1"), HealthState.RUNNING),
        (ROW._replace(last_status="partial", open_errors=2), HealthState.PARTIAL),
        (ROW._replace(last_status="idle", open_errors=2), HealthState.PARTIAL),
        (ROW._replace(last_status="error", last_error="no such column\nmore"), HealthState.FAILED),
        (ROW._replace(last_status="held", chunks=12, chunks_done=5), HealthState.RUNNING),
        (ROW._replace(last_status="ok", chunks=12, chunks_done=12), HealthState.RUNNING),
        (ROW._replace(last_status="error", last_error="x", chunks=12, chunks_done=5), HealthState.FAILED),
        (ROW._replace(last_status="held", last_run=LONG_AGO, chunks=12, chunks_done=5), HealthState.STUCK),
        (ROW._replace(verification=FOUND, unverified="restored"), HealthState.DIFFERENT),
        (ROW._replace(verification={"differences": "damaged"}), HealthState.SYNCED),
        (ROW._replace(last_run=LONG_AGO), HealthState.STUCK),
        (ROW._replace(last_run=LONG_AGO, last_status="idle"), HealthState.STUCK),
        (ROW._replace(last_run=LONG_AGO, last_status="error", last_error="x"), HealthState.FAILED),
        (ROW._replace(last_run=LONG_AGO, lease_holder="host:1"), HealthState.RUNNING),
    ],
)
def test_each_situation_has_a_word_of_its_own(row: WatermarkRow | None, state: HealthState) -> None:
    assert health_of(row, interval=120, now=NOW).state is state


def test_a_backfill_under_way_tells_how_far_it_is() -> None:
    running = ROW._replace(lease_holder="host:1", chunks=12, chunks_done=5)
    assert health_of(running, interval=120, now=NOW).why == "backfill: 5 of 12 chunks are loaded"
    timed = running._replace(chunk_rows=12345, chunk_bytes=100 * 1024 * 1024, backfill_seconds=50.0)
    assert health_of(timed, interval=120, now=NOW).why == (
        "backfill: 5 of 12 chunks are loaded, 12,345 rows, 2.0 MB/s, 70 s left"
    )


def test_rows_that_wait_to_be_loaded_are_told() -> None:
    waiting = ROW._replace(staged_rows=12, staged_bytes=4000, lag_seconds=500.0, read_lag_seconds=30.0)
    told = "12 rows staged, not loaded yet; read lag 30 s"
    assert health_of(waiting, interval=120, now=NOW).why == told


def test_no_changes_and_stuck_look_different() -> None:
    """Both have nothing to load and no error; only one of them needs a person."""
    idle = health_of(ROW._replace(last_status="idle"), interval=120, now=NOW)
    stuck = health_of(ROW._replace(last_status="idle", last_run=LONG_AGO), interval=120, now=NOW)
    assert (idle.state, idle.why) == (HealthState.IDLE, "")
    assert stuck.state is HealthState.STUCK
    assert "3.0 h" in stuck.why


@given(interval=st.floats(1, 86_400), share=st.floats(0, 0.99))
def test_a_table_is_not_stuck_before_its_patience_is_over(interval: float, share: float) -> None:
    silent = timedelta(seconds=(PATIENCE * interval + GRACE_SECONDS) * share)
    row = ROW._replace(last_status="idle", last_run=NOW - silent)
    assert health_of(row, interval=interval, now=NOW).state is HealthState.IDLE


def test_the_first_line_of_an_error_says_why() -> None:
    row = ROW._replace(last_status="error", last_error="no such column\nmore")
    assert health_of(row, interval=120, now=NOW).why == "no such column"
    long = row._replace(last_error="x" * 4000)
    assert len(health_of(long, interval=120, now=NOW).why) < 400


def test_a_table_that_is_switched_off_says_so() -> None:
    assert health_of(ROW, interval=120, now=NOW, enabled=False).state is HealthState.OFF


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (9000, "2.5 h"), (400_000, "5 d")]
)
def test_a_duration_fits_a_cell(seconds: float, text: str) -> None:
    assert approximate_duration(seconds) == text


def test_differences_that_are_not_repaired_are_named_with_the_command_that_repairs_them() -> None:
    health = health_of(ROW._replace(verification=FOUND), interval=120, now=NOW)
    assert health.why == "3 rows differ (2 missing, 1 ghost: 7, 8, …): pgsnow repair public.users"
