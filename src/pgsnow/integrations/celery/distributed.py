"""A tick in many processes: one finds out what is to be done and sends it, any number of others do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.celery.engine_task import Jobs, task_options
from pgsnow.integrations.celery.messages import Messages
from pgsnow.integrations.celery.next_step import NextStep, after_chunk
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from celery import Celery


def add_distributed_tasks(
    app: Celery, jobs: Jobs, task_name: str, table_queue: str | None, chunk_queue: str | None
) -> Any:
    """Registers `task_name`, `task_name.table` and `task_name.chunk`; returns the first."""
    messages = Messages(
        app, jobs.config, f"{task_name}.table", f"{task_name}.chunk", table_queue, chunk_queue
    )
    _add_table_task(app, jobs, messages)
    _add_chunk_task(app, jobs, messages)
    return _add_tick_task(app, jobs, messages, task_name)


def _add_tick_task(app: Celery, jobs: Jobs, messages: Messages, name: str) -> Any:
    @app.task(name=name, **task_options(jobs.config))  # type: ignore[misc, untyped-decorator, unused-ignore]
    def sync_postgres_to_snowflake(self: Any, tables: Sequence[str] | None = None) -> dict[str, Any]:
        """Find out which of these tables, or of all that are due, have something new, and have them synced."""
        found = jobs.run(self, "tick", lambda engine: engine.triage(tables, due_only=True))
        for table in found.busy:
            messages.table(table)
        return jobs.told(self, "tick", found.report)

    return sync_postgres_to_snowflake


def _add_table_task(app: Celery, jobs: Jobs, messages: Messages) -> None:
    @app.task(  # type: ignore[misc, untyped-decorator, unused-ignore]
        name=messages.table_task, **task_options(jobs.config)
    )
    def sync_table(self: Any, table: str) -> dict[str, Any]:
        """Bring one table up to date, or begin its backfill and have it loaded. Does nothing if another worker has the
        table, or it is not due any more."""
        logger(table).info("table taken", worker=self.request.hostname)
        report = jobs.run(
            self, "table", lambda engine: engine.tick([table], due_only=True, leave_chunks=True)
        )
        for done in report.tables:
            if jobs.flag and done.status is Status.STOPPED:
                messages.table(table)  # this worker leaves; another one goes on
            for _ in range(lacking(done, jobs.config.table(table).max_parallel_chunks)):
                messages.chunk(table)
        return jobs.told(self, "table", report)


def _add_chunk_task(app: Celery, jobs: Jobs, messages: Messages) -> None:
    @app.task(  # type: ignore[misc, untyped-decorator, unused-ignore]
        name=messages.chunk_task, **task_options(jobs.config)
    )
    def sync_chunk(self: Any, table: str) -> None:
        """Load one chunk of the table's backfill, and ask for the next one."""
        logger(table).info("chunk taken", worker=self.request.hostname)
        step = jobs.run(self, "chunk", lambda engine: after_chunk(engine, table))
        if step is NextStep.TABLE:
            messages.table(table)
        elif step is NextStep.CHUNK:
            messages.chunk(table, self.request.expires)


def lacking(report: TableReport, at_once: int) -> int:
    """How many more may load chunks of the table's backfill now."""
    loading = report.chunks_left - report.chunks_waiting
    return max(0, min(report.chunks_waiting, at_once - loading))
