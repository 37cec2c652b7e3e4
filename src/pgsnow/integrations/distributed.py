"""A tick in many processes: one finds out what is to be done and sends it, any number of others do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.jobs import Jobs, task_options
from pgsnow.integrations.messages import Messages
from pgsnow.model.report import Status
from pgsnow.sync.log import logger

if TYPE_CHECKING:
    from celery import Celery


def add_distributed_tasks(app: Celery, jobs: Jobs, task_name: str, table_queue: str | None) -> Any:
    """Registers `task_name` and `task_name.table`; returns the first."""
    messages = Messages(app, jobs.config, f"{task_name}.table", table_queue)
    _add_table_task(app, jobs, messages)
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
        """Bring one table up to date. Does nothing if another worker has it, or it is not due any more."""
        logger(table).info("table taken", worker=self.request.hostname)
        report = jobs.run(self, "table", lambda engine: engine.tick([table], due_only=True))
        if jobs.flag and any(done.status is Status.STOPPED for done in report.tables):
            messages.table(table)  # this worker leaves; another one goes on
        return jobs.told(self, "table", report)
