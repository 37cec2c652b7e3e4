"""Every metric, status and field of a report is explained in docs/observability.md."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from pgsnow.model.report import Status, SyncReport, TableReport

PAGE = (Path(__file__).parents[3] / "docs" / "observability.md").read_text()
EXPLAINED = {
    name for cell in re.findall(r"^\| ([^|]+) \|", PAGE, re.M) for name in re.findall(r"`([a-z_-]+)`", cell)
}


def test_every_metric_is_explained() -> None:
    assert set(SyncReport("r", datetime.now(UTC), 0.0, ()).metrics()) <= EXPLAINED


def test_every_status_is_explained() -> None:
    assert {status.value for status in Status} <= EXPLAINED


def test_every_field_of_a_report_is_explained_and_no_other() -> None:
    report = TableReport("t", "T", "r", Status.OK, datetime.now(UTC))
    metrics = set(SyncReport("r", datetime.now(UTC), 0.0, ()).metrics())
    statuses = {status.value for status in Status}
    assert EXPLAINED - metrics - statuses == set(report.to_json()) - metrics - statuses


def test_the_log_line_shown_has_what_every_line_has() -> None:
    (block,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.S)
    assert {"table", "run_id", "phase", "rows", "seconds"} <= set(json.loads(block))
