"""The charts of a table's page stay the same while nothing new is known, so that a browser need not load them again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pgsnow.integrations.fastapi.charts.table_charts import TableChart, lag_chart, rows_chart
from pgsnow.model.config.sync_config import parse_config
from pgsnow.operations.status.overview_table import RowCounts, table_line
from pgsnow.operations.status.series import LagSample, RowsBar, Span, TableSeries
from pgsnow.operations.status.table_detail import TableDetail
from pgsnow.operations.status.table_status import table_statuses

NOW = datetime(2026, 3, 10, 12, 0, 1, tzinfo=UTC)
ENTRY = {"source": "public.users", "target": "a.users", "pk": "id", "watermark_column": "updated_at"}
CONFIG = parse_config({"tables": [ENTRY]}, file="sync_config.yaml", env={})


def detail(series: TableSeries, now: datetime = NOW, span: Span = Span.HOUR) -> TableDetail:
    """A table with this history and nothing else."""
    [status] = table_statuses(CONFIG, CONFIG.tables, [], now)
    line = table_line(CONFIG, status, None)
    return TableDetail(now, span, line, series, None, (), (), (), (), "", {}, (), None, ())


def at_now(lag: float, now: datetime) -> TableSeries:
    """Ten runs, two minutes apart, the last one ten seconds before NOW, and the lag of `now`."""
    runs = [LagSample(NOW - timedelta(seconds=10, minutes=2 * n), 4.0 + n) for n in reversed(range(10))]
    bar = RowsBar(NOW - timedelta(minutes=5), 300, RowCounts(inserted=3, deleted=1), runs=2)
    return TableSeries((*runs, LagSample(now, lag)), (bar,))


def drawn(chart: TableChart) -> str:
    assert chart.svg
    return str(chart.svg)


def test_a_chart_stays_the_same_until_something_new_is_known() -> None:
    """A few seconds later, with a lag that has grown by as much, not a character differs."""
    later = NOW + timedelta(seconds=7)
    before, after = detail(at_now(14, NOW)), detail(at_now(21, later), later)
    assert drawn(lag_chart(before)) == drawn(lag_chart(after))
    assert drawn(rows_chart(before)) == drawn(rows_chart(after))


def test_a_stopped_worker_is_a_gap_up_to_now() -> None:
    """Nothing changed is a line that goes on; a stopped worker is a line that ends. That a day's chart ends a little
    after now is no gap."""
    later = NOW + timedelta(minutes=40)
    assert "no run" not in drawn(lag_chart(detail(at_now(14, NOW))))
    assert "no run" not in drawn(lag_chart(detail(at_now(14, NOW), span=Span.DAY)))
    assert "no run since 10 Mar 11:59" in drawn(lag_chart(detail(at_now(2400, later), later)))


def test_the_summaries_say_what_the_charts_show() -> None:
    shown = detail(at_now(14, NOW))
    assert lag_chart(shown).summary == "4.0 s after the newest run, at worst 13 s (10 Mar 11:41)."
    assert rows_chart(shown).summary == "3 inserted, 1 deleted"


@pytest.mark.parametrize("span", list(Span))
def test_a_table_without_a_run_has_no_charts(span: Span) -> None:
    empty = replace(detail(TableSeries((LagSample(NOW, None),), ()), span=span))
    assert lag_chart(empty).svg == ""
    assert rows_chart(empty).svg == ""
