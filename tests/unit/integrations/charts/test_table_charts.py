"""Charts of a table sum up its history without losing or doubling a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.integrations.fastapi.charts.table_charts import KINDS, WIDTHS, bars_of, row_totals
from pgsnow.operations.status.overview_table import RowCounts
from pgsnow.operations.status.table_detail import RowsPoint, Span

NOON = datetime(2026, 3, 10, 12, 7, tzinfo=UTC)
COUNTS = st.integers(0, 10**6)
POINTS = st.builds(
    RowsPoint,
    at=st.integers(0, 7 * 86400).map(lambda ago: NOON - timedelta(seconds=ago)),
    width=st.just(1.0),
    rows=st.builds(RowCounts, COUNTS, COUNTS, COUNTS, COUNTS),
)


@given(st.lists(POINTS, max_size=50), st.sampled_from(list(Span)))
def test_bars_hold_every_row_exactly_once(points: list[RowsPoint], span: Span) -> None:
    """The sums are those of the points, each bar has the span's width, and no two overlap."""
    bars = bars_of(points, span)
    assert {kind: sum(bar.counts[kind] for bar in bars) for kind in KINDS} == row_totals(points)
    assert all((bar.end - bar.start).total_seconds() == WIDTHS[span] for bar in bars)
    assert [bar.start for bar in bars] == sorted({bar.start for bar in bars})
    for point in points:
        assert any(bar.start <= point.at < bar.end for bar in bars)
