"""Distributed ticks: one task inspects the tables and sends a message for each table and each chunk with work; any
worker may take it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.celery.engine_task import EngineTasks, task_options
from pgsnow.integrations.celery.messages import Messages
from pgsnow.model.errors import LeaseLost, PgsnowError, SchemaMoved, ShuttingDown
from pgsnow.model.report import Status, TableReport
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.log import log_unexpected, logger

if TYPE_CHECKING:
    from celery import Celery

    from pgsnow.sync.engine import Engine


def add_distributed_tasks(
    app: Celery, tasks: EngineTasks, task_name: str, table_queue: str | None, chunk_queue: str | None
) -> Any:
    """Registers `task_name`, `task_name.table` and `task_name.chunk`; returns the first."""
    messages = Messages(
        app, tasks.source, f"{task_name}.table", f"{task_name}.chunk", table_queue, chunk_queue
    )
    _add_table_task(app, tasks, messages)
    _add_chunk_task(app, tasks, messages)
    return _add_tick_task(app, tasks, messages, task_name)


def _add_tick_task(app: Celery, tasks: EngineTasks, messages: Messages, name: str) -> Any:
    @app.task(name=name, **task_options(tasks.source))  # type: ignore[misc, untyped-decorator, unused-ignore]
    def sync_postgres_to_snowflake(
        self: Any, tables: Sequence[str] | None = None, load: bool = False
    ) -> dict[str, Any]:
        """Find the tables with changes, among these (whether they are due or not) or among all that are due, and send a
        message for each of them. load: also load staged rows (`load_every`) before they are due."""
        due_only = tables is None
        found = tasks.run(self, "tick", lambda engine: engine.triage(tables, due_only=due_only, load=load))
        for table in found.busy:
            messages.table(table, requested=not due_only, load=load)
        for number in found.requests:
            messages.request(number)
        tasks.tick_ended(found.report, whole=due_only)
        return tasks.metrics(self, "tick", found.report)

    return sync_postgres_to_snowflake


def _add_table_task(app: Celery, tasks: EngineTasks, messages: Messages) -> None:
    @app.task(  # type: ignore[misc, untyped-decorator, unused-ignore]
        name=messages.table_task, **task_options(tasks.source)
    )
    def sync_table(
        self: Any, table: str, requested: bool = False, load: bool = False, request: int | None = None
    ) -> dict[str, Any]:
        """Sync one table, or begin its backfill and send messages for its chunks. Does nothing if another worker holds
        the table's lease, or if the table is no longer due, unless a person requested it. request: carry out this
        request instead, unless another worker has taken it."""
        if request is not None:
            asked = tasks.run(
                self, "request", lambda engine: engine.carry_out_requests(request, leave_chunks=True)
            )
            for done in (done for report in asked for done in report.tables):
                for _ in range(missing_workers(done, tasks.config.table(done.table).max_parallel_chunks)):
                    messages.chunk(done.table)
            return asked[0].metrics() if asked else {}
        logger(table).info("table taken", worker=self.request.hostname)
        report = tasks.run(
            self,
            "table",
            lambda engine: engine.tick([table], due_only=not requested, leave_chunks=True, load=load),
        )
        for done in report.tables:
            if tasks.flag and done.status is Status.STOPPED:
                messages.table(
                    table, requested=requested, load=load
                )  # this worker shuts down; another one takes over
            for _ in range(missing_workers(done, tasks.config.table(table).max_parallel_chunks)):
                messages.chunk(table)
        tasks.runs_ended(report)
        return tasks.metrics(self, "table", report)


def _add_chunk_task(app: Celery, tasks: EngineTasks, messages: Messages) -> None:
    @app.task(  # type: ignore[misc, untyped-decorator, unused-ignore]
        name=messages.chunk_task, **task_options(tasks.source)
    )
    def sync_chunk(self: Any, table: str) -> None:
        """Load one chunk of the table's backfill, and send the message for the next step."""
        logger(table).info("chunk taken", worker=self.request.hostname)
        step = tasks.run(self, "chunk", lambda engine: load_next_chunk(engine, table))
        if step is NextStep.TABLE:
            messages.table(table)
        elif step is NextStep.CHUNK:
            messages.chunk(table, self.request.expires)


def missing_workers(report: TableReport, max_parallel: int) -> int:
    """How many more workers may load chunks of the table's backfill now."""
    loading = report.chunks_left - report.chunks_waiting
    return max(0, min(report.chunks_waiting, max_parallel - loading))


class NextStep(Enum):
    """The message to send after a chunk. TABLE: a run of the table, which ends the backfill or restarts it. CHUNK: the
    next chunk. NONE: other workers are loading the remaining chunks."""

    TABLE = auto()
    CHUNK = auto()
    NONE = auto()


def load_next_chunk(engine: Engine, table: str) -> NextStep:
    """Load a chunk, if there is one to claim. Raises errors for which a retry may succeed.

    The ledger stores no error of a chunk. For an error that needs a fix the table is run instead, which meets the
    same error and records it.
    """
    try:
        loaded = engine.take_chunk(table)
    except (SchemaMoved, LeaseLost) as moved:
        logger(table).info("chunk given up", reason=str(moved))
        return NextStep.TABLE
    except ShuttingDown:
        return NextStep.CHUNK
    except Exception as error:
        if isinstance(error, PgsnowError) and error.transient:
            raise
        _log_failed_chunk(engine, table, error)
        if isinstance(error, PgsnowError) and error.of_account:
            engine.record_failure(table, error)  # the table's run would only send the same statement again
        else:
            engine.tick([table], requested=False)
        return NextStep.NONE
    if loaded is None:
        return NextStep.NONE
    if loaded.left == 0:
        return NextStep.TABLE
    return NextStep.CHUNK if loaded.waiting else NextStep.NONE


def _log_failed_chunk(engine: Engine, table: str, error: Exception) -> None:
    logger(table).error("chunk failed", error=public_text(error), error_type=type(error).__name__)
    if not isinstance(error, PgsnowError):
        log_unexpected(error, engine.settings.secrets(), table)
