"""OpenTelemetry: what a tick did, as spans and metrics, made from its report once it has ended.

    from pgsnow.integrations.otel import record
    record(engine.tick())

The Celery tasks of `install` call it themselves when the extra `otel` is installed. It uses OpenTelemetry's API alone:
the application sets the providers and exporters, and without them nothing is recorded. The sync does nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pgsnow import __version__
from pgsnow.model.errors import MissingExtra
from pgsnow.model.report import SKIPPED, SentStatement, Status, SyncReport, TableReport
from pgsnow.sync.runtime.log import logger

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import SpanKind, StatusCode
except ImportError:
    raise MissingExtra("opentelemetry", "otel") from None

NAME = "pgsnow"


@dataclass(frozen=True, slots=True)
class _Instruments:
    """The metrics' instruments. They follow the application's provider, even if that is set later."""

    duration: metrics.Histogram
    rows: metrics.Counter
    uploaded: metrics.Counter
    statements: metrics.Counter
    warehouse: metrics.Counter
    credits: metrics.Counter


@cache
def _instruments() -> _Instruments:
    meter = metrics.get_meter(NAME, __version__)
    return _Instruments(
        meter.create_histogram("pgsnow.run.duration", "s", "Duration of a table's run"),
        meter.create_counter("pgsnow.rows", "{row}", "Rows inserted, updated, deleted and rejected"),
        meter.create_counter("pgsnow.uploaded", "By", "Bytes of Parquet files that were loaded"),
        meter.create_counter("pgsnow.statements", "{statement}", "Statements sent to Snowflake"),
        meter.create_counter("pgsnow.warehouse.duration", "s", "Duration of those that need a warehouse"),
        meter.create_counter("pgsnow.credits", "{credit}", "Estimated credits"),
    )


def record(report: SyncReport) -> None:
    """A span for the tick below the current one, with a span for each table that it synced, and one for each statement
    below that; and the metrics of these runs. Tables that the tick left alone have none. Never raises."""
    try:
        tracer = trace.get_tracer(NAME, __version__)
        tick = tracer.start_span(
            "pgsnow tick",
            start_time=_nanoseconds(report.started_at),
            attributes={"pgsnow.run_id": report.run_id},
        )
        for table in report.tables:
            if table.status not in SKIPPED:
                _record_table(tracer, trace.set_span_in_context(tick), table)
                _count(table)
        if report.failures:
            tick.set_status(StatusCode.ERROR, f"{len(report.failures)} tables failed")
        tick.end(_nanoseconds(report.started_at, report.seconds))
    except Exception as error:
        logger().debug("OpenTelemetry recorded nothing", reason=type(error).__name__)


def _record_table(tracer: trace.Tracer, context: Any, report: TableReport) -> None:
    span = tracer.start_span(
        f"pgsnow sync {report.table}",
        context,
        start_time=_nanoseconds(report.started_at),
        attributes={
            "pgsnow.table": report.table,
            "pgsnow.target": report.target,
            "pgsnow.run_id": report.run_id,
            "pgsnow.status": str(report.status),
            "pgsnow.rows.read": report.rows_read,
            **{f"pgsnow.rows.{operation}": count for operation, count in _rows(report).items()},
            **{f"pgsnow.phase.{phase}.seconds": seconds for phase, seconds in report.phases.items()},
            **({"pgsnow.full_read": report.full_read} if report.full_read else {}),
        },
    )
    for statement in report.statements:
        _record_statement(tracer, trace.set_span_in_context(span), statement)
    for text in report.events:
        span.add_event(text, timestamp=_nanoseconds(report.started_at, report.seconds))
    if report.status is Status.ERROR:
        span.set_attribute("error.type", report.error_type or "_OTHER")
        span.set_status(StatusCode.ERROR, report.error)
    span.end(_nanoseconds(report.started_at, report.seconds))


def _record_statement(tracer: trace.Tracer, context: Any, statement: SentStatement) -> None:
    """Attributes: OpenTelemetry's semantic conventions for database clients. The text is left out: it may have values
    of rows."""
    span = tracer.start_span(
        f"snowflake {statement.kind}",
        context,
        SpanKind.CLIENT,
        start_time=_nanoseconds(statement.started_at),
        attributes={
            "db.system.name": "snowflake",
            "db.operation.name": statement.kind,
            "snowflake.query_id": statement.query_id,
            "snowflake.needs_warehouse": statement.warehouse,
            **({} if statement.rows is None else {"db.response.returned_rows": statement.rows}),
        },
    )
    if statement.failed:
        span.set_status(StatusCode.ERROR)
    span.end(_nanoseconds(statement.started_at, statement.seconds))


def _count(report: TableReport) -> None:
    made, table = _instruments(), {"pgsnow.table": report.table}
    made.duration.record(report.seconds, table | {"pgsnow.status": str(report.status)})
    for operation, count in _rows(report).items():
        made.rows.add(count, table | {"pgsnow.operation": operation})
    made.uploaded.add(report.bytes_staged, table)
    made.statements.add(report.statement_count, table)
    made.warehouse.add(report.warehouse_seconds, table)
    made.credits.add(report.credits, table)


def _rows(report: TableReport) -> dict[str, int]:
    return {
        operation: getattr(report, f"rows_{operation}")
        for operation in ("inserted", "updated", "deleted", "rejected")
    }


def _nanoseconds(moment: datetime, seconds: float = 0.0) -> int:
    """Nanoseconds since 1970 of the moment so many seconds later."""
    return round((moment + timedelta(seconds=seconds)).timestamp() * 1e6) * 1000
