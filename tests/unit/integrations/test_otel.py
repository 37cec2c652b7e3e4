"""A tick as an OpenTelemetry trace and metrics, received by OpenTelemetry's own SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from pgsnow.integrations import otel
from pgsnow.model.report import SentStatement, Status, SyncReport, TableReport

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MERGE = SentStatement("MERGE", "01b-2", BEGAN + timedelta(seconds=1), 0.5, 7, warehouse=True)
LOST = SentStatement("COPY", "", BEGAN + timedelta(seconds=2), 0.25, None, warehouse=True, failed=True)
USERS = TableReport(
    "public.users", "DB.S.USERS", "r1", Status.PARTIAL, BEGAN, 3.0, {"merge": 0.5}, rows_read=8, rows_rejected=1,
    rows_inserted=5, rows_updated=2, bytes_staged=900, statements=(MERGE,), statement_count=1, warehouse_seconds=0.5,
    credits=0.02, events=("column NICK added",),
)  # fmt: skip
ORDERS = TableReport(
    "public.orders", "DB.S.ORDERS", "r1", Status.ERROR, BEGAN, 2.5, statements=(LOST,), statement_count=1,
    error="Snowflake does not answer", error_type="TargetUnavailable",
)  # fmt: skip
WAITING = TableReport("public.waits", "DB.S.WAITS", "r1", Status.NOT_DUE, BEGAN)
TICK = SyncReport("r1", BEGAN, 4.0, (USERS, ORDERS, WAITING))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where spans arrive that are sent through the application's provider."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_tick_is_a_trace_of_its_tables_and_their_statements(spans: InMemorySpanExporter) -> None:
    """Each span lies where the work was, below what it was part of; tables that were left alone have none."""
    with trace.get_tracer("host").start_as_current_span("celery task"):
        otel.record(TICK)
    found = {span.name: span for span in spans.get_finished_spans()}
    assert list(found) == [
        "snowflake MERGE", "pgsnow sync public.users", "snowflake COPY", "pgsnow sync public.orders", "pgsnow tick",
        "celery task",
    ]  # fmt: skip
    parents = {span.context.span_id: name for name, span in found.items()}
    assert {name: parents.get(span.parent.span_id) for name, span in found.items() if span.parent} == {
        "snowflake MERGE": "pgsnow sync public.users",
        "snowflake COPY": "pgsnow sync public.orders",
        "pgsnow sync public.users": "pgsnow tick",
        "pgsnow sync public.orders": "pgsnow tick",
        "pgsnow tick": "celery task",
    }
    merge, users = found["snowflake MERGE"], found["pgsnow sync public.users"]
    assert (seconds(merge), seconds(users), seconds(found["pgsnow tick"])) == (0.5, 3.0, 4.0)
    assert merge.start_time == int((BEGAN + timedelta(seconds=1)).timestamp() * 1e9)
    assert merge.attributes
    assert merge.attributes["snowflake.query_id"] == "01b-2"
    assert users.attributes
    assert (users.attributes["pgsnow.rows.inserted"], users.attributes["pgsnow.phase.merge.seconds"]) == (
        5,
        0.5,
    )
    assert [event.name for event in users.events] == ["column NICK added"]


def test_a_failure_is_a_failed_span(spans: InMemorySpanExporter) -> None:
    """A trace shows which table and which statement failed, with the error's class."""
    otel.record(TICK)
    failed = {s.name for s in spans.get_finished_spans() if s.status.status_code is StatusCode.ERROR}
    assert failed == {"pgsnow tick", "pgsnow sync public.orders", "snowflake COPY"}
    orders = next(span for span in spans.get_finished_spans() if span.name.endswith("orders"))
    assert orders.attributes
    assert orders.attributes["error.type"] == "TargetUnavailable"


def test_the_metrics_of_a_tick_are_those_of_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that exports through OpenTelemetry has rows, durations and credits without a scrape."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", MeterProvider([reader]))
    otel._instruments.cache_clear()
    try:
        otel.record(TICK)
    finally:
        otel._instruments.cache_clear()
    data = reader.get_metrics_data()
    assert data is not None
    points: dict[tuple[str, ...], Any] = {
        (metric.name, *sorted(map(str, (point.attributes or {}).values()))): point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert points["pgsnow.rows", "inserted", "public.users"].value == 5
    assert points["pgsnow.credits", "public.users"].value == 0.02
    assert points["pgsnow.statements", "public.orders"].value == 1
    assert points["pgsnow.run.duration", "error", "public.orders"].sum == 2.5
    assert not [key for key in points if "public.waits" in key]


def test_without_a_provider_nothing_happens() -> None:
    """An application that does not use OpenTelemetry notices nothing of it."""
    otel.record(TICK)
