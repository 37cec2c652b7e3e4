"""One table's line of the overview."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgsnow.ledger.history.rows import HistoryRow
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import parse_config
from pgsnow.operations.status.overview_table import BackfillProgress, OverviewTable, RowCounts, table_line
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.table_status import table_statuses

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROW = WatermarkRow(
    source_table="public.users",
    target_table="A.B.USERS",
    last_watermark="2024-05-01",
    last_run=NOW - timedelta(seconds=60),
    last_success=NOW - timedelta(seconds=60),
    last_status="idle",
    last_error=None,
    rows_processed=3,
    read_mode="watermark",
    lease_holder=None,
    lag_seconds=300.0,
)


def line(row: WatermarkRow = ROW, history: HistoryRow | None = None, **keys: Any) -> OverviewTable:
    """The line of a table with this row; ticks are two minutes apart."""
    entry = {
        "source": "public.users",
        "target": "b.users",
        "pk": "id",
        "watermark_column": "updated_at",
        **keys,
    }
    config = parse_config({"tables": [entry]}, file="f", env={})
    return table_line(config, table_statuses(config, config.tables, [row], NOW)[0], history)


@pytest.mark.parametrize(
    ("lag", "keys", "behind"),
    [
        (390.0, {}, False),
        (391.0, {}, True),
        (1000.0, {"load_every": "15m"}, False),
        (1300.0, {"load_every": "15m"}, True),
        (3 * 3600.0, {"every": "1h"}, False),
        (3 * 3600.0 + 31, {"every": "1h"}, True),
    ],
)
def test_a_lag_that_the_schedule_explains_is_no_alarm(lag: float, keys: dict[str, Any], behind: bool) -> None:
    """Three intervals and half a minute, its own interval where it has one, and the time that its loads may wait."""
    assert line(ROW._replace(lag_seconds=lag), **keys).behind is behind


def test_a_table_with_a_long_interval_is_not_stuck_between_two_runs() -> None:
    """A table that runs every hour is quiet for most of it."""
    quiet = ROW._replace(last_run=NOW - timedelta(minutes=50))
    assert line(quiet).state is HealthState.STUCK
    assert line(quiet, every="1h").state is HealthState.IDLE
    assert line(quiet._replace(last_run=NOW - timedelta(hours=4)), every="1h").state is HealthState.STUCK


def test_a_paused_table_says_by_whom_and_is_not_stuck() -> None:
    """No run reads it, on purpose, whatever its lag is."""
    paused = ROW._replace(
        paused=True,
        paused_by="ann",
        paused_at=NOW,
        paused_reason="migration",
        last_run=NOW - timedelta(days=2),
        lag_seconds=172_800.0,
    )
    found = line(paused)
    assert (found.state, found.behind, found.counts) == (HealthState.PAUSED, False, False)
    assert found.why == "paused by ann since 2024-05-01 12:00 UTC: migration"


def test_a_backfill_says_how_long_it_still_takes() -> None:
    """At the rate since it began, over all workers; nothing is promised before the first chunk."""
    found = line(
        ROW._replace(chunks=10, chunks_done=4, chunk_rows=800, chunk_bytes=4000, backfill_seconds=80.0)
    )
    progress = found.backfill
    assert progress is not None
    assert (progress.share, progress.rows_per_second, progress.left_seconds) == (0.4, 10.0, 120.0)
    assert BackfillProgress(10, 0, seconds=80.0).left_seconds is None


def test_the_rows_of_the_last_run_are_those_of_the_newest() -> None:
    """Text that was damaged by hand shows what the table's own row says."""
    stored = '["r2", "ok", 1714564800, 2.0, 1, 2, 3]'
    assert line(history=HistoryRow("public.users", stored)).last_rows == RowCounts(1, 2, 3)
    assert line(history=HistoryRow("public.users", '{"damaged": true}')).last_rows == RowCounts(updated=3)
    assert line().last_rows == RowCounts(updated=3)


def test_the_worst_table_comes_first() -> None:
    """Failed before late before well; of equal ones the later."""
    failed = line(ROW._replace(last_status="error", last_error="no grant\nmore", lag_seconds=10.0))
    late, later, well = (line(ROW._replace(lag_seconds=lag)) for lag in (500.0, 900.0, 20.0))
    assert sorted([well, late, failed, later], key=lambda one: one.severity) == [failed, later, late, well]
    assert failed.last_error == "no grant"
    long = line(ROW._replace(last_status="error", last_error="x" * 4000))
    assert len(long.last_error or "") < 400


@pytest.mark.parametrize("name", ['public."Users"', 'public."a b"', 'public."o\'b"'])
def test_the_command_of_an_advice_can_be_pasted_into_a_shell(name: str) -> None:
    """A shell takes quotes away: the name needs its own."""
    row = ROW._replace(source_table=name, last_status="error", last_error="no grant")
    [command] = re.findall("`([^`]+)`", line(row, source=name).advice)
    assert shlex.split(command)[-1] == name
