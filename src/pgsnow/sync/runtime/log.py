"""Structured logs through the standard library's logging: one line per finished table, one per tick.

As a library, pgsnow only writes to the logger `pgsnow`, and the host decides where the lines go. `configure` is for
the command line, the demo, and hosts that want one JSON object (or console line) per event.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any, TextIO

from pgsnow.model.report import SKIPPED, Status, SyncReport, TableReport
from pgsnow.model.settings.secret import Secret
from pgsnow.model.unexpected import public_text, redacted_traceback


def logger(table: str | None = None, run_id: str | None = None) -> Any:
    """A logger whose lines carry the table and the run's id."""
    import structlog  # slow to import; a command that logs nothing does not need it

    bound = {name: value for name, value in (("table", table), ("run_id", run_id)) if value is not None}
    return structlog.wrap_logger(
        logging.getLogger("pgsnow"),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
    ).bind(**bound)


def configure(style: str = "json", stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send the logger `pgsnow` to a stream (stdout by default), as `json` or `console`. Does not change the root
    logger. Idempotent: another call replaces the previous handler."""
    import structlog

    render: dict[str, Any] = {
        "json": structlog.processors.JSONRenderer,
        "console": partial(structlog.dev.ConsoleRenderer, exception_formatter=structlog.dev.plain_traceback),
    }
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            render[style](),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(formatter)
    handler.set_name("pgsnow")
    log = logging.getLogger("pgsnow")
    log.handlers = [h for h in log.handlers if h.get_name() != "pgsnow"] + [handler]
    log.setLevel(level)
    log.propagate = False


def log_unexpected(
    error: Exception, secrets: Iterable[Secret], table: str | None = None, run_id: str | None = None
) -> None:
    """Log an unexpected error: its class and place at ERROR, its traceback with secrets masked at DEBUG."""
    log = logger(table, run_id)
    log.error("unexpected error", error=public_text(error), error_type=type(error).__name__)
    if logging.getLogger("pgsnow").isEnabledFor(logging.DEBUG):
        log.debug("traceback of an unexpected error", exception=redacted_traceback(error, secrets))


def log_report(report: SyncReport) -> None:
    """Log a line for each table that was not idle, and one line with the metrics of the tick."""
    if not logging.getLogger("pgsnow").isEnabledFor(logging.ERROR):
        return
    for table in report.tables:
        if table.status is not Status.IDLE:
            _log_table(table)
    metrics = report.metrics()
    metrics["rows_processed"] = {table: rows for table, rows in metrics["rows_processed"].items() if rows}
    logger(run_id=report.run_id).info(
        "tick", seconds=round(report.seconds, 3), tables=len(report.tables), **metrics
    )


def _log_table(table: TableReport) -> None:
    log = logger(table.table, table.run_id)
    facts = {
        "phase": "finished",
        "status": table.status.value,
        "rows": table.rows_processed,
        "rows_read": table.rows_read,
        "rows_rejected": table.rows_rejected,
        "seconds": round(table.seconds, 3),
        "bytes": table.bytes_staged,
    }
    if table.status is Status.ERROR:
        log.error(
            "table failed",
            error=table.error,
            error_type=table.error_type,
            advice=table.advice,
            retry_seconds=table.retry_seconds,
            **facts,
        )
    elif table.status in SKIPPED:
        tell = log.warning if table.status is Status.BACKING_OFF else log.info
        tell("table skipped", reason=table.error, **facts)
    else:
        log.info("table synced", events=list(table.events), **facts)
