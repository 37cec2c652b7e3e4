"""Adds the sync to an existing Celery application, as a task and a beat entry.

    from pgsnow.integrations.celery import install
    install(app, "sync_config.yaml")

The host keeps its own broker, workers and configuration: every option set here is an option of the task.
pyarrow, numpy and the Snowflake connector are imported when a tick runs, so never before the pool's fork.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.config_source import ConfigSource, GivenConfig
from pgsnow.model.config.sync_config import Execution
from pgsnow.model.errors import MissingExtra
from pgsnow.model.settings.settings import Settings

try:
    from pgsnow.integrations.celery.distributed import add_distributed_tasks
    from pgsnow.integrations.celery.engine_task import GRACE_SECONDS, EngineTasks, task_options
    from pgsnow.integrations.celery.worker_signals import follow_worker
except ImportError:
    raise MissingExtra("celery", "celery") from None

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["BEAT_ENTRY", "GRACE_SECONDS", "TASK_NAME", "install"]

TASK_NAME = "worker.sync.sync_postgres_to_snowflake"
BEAT_ENTRY = "sync-postgres-to-sf-every-2-minutes"


def install(
    app: Celery,
    config: GivenConfig,
    *,
    settings: Settings | None = None,
    task_name: str = TASK_NAME,
    beat_entry: str = BEAT_ENTRY,
    queue: str | None = None,
    table_queue: str | None = None,
    chunk_queue: str | None = None,
    strict: bool = False,
) -> Any:
    """Register the task and its beat entry; returns the task, which takes an optional list of tables. Those that are
    named are synced whether they are due or not; `load=True` also loads rows that are staged (`load_every`).

    config is read here, once. If it is wrong, the application starts all the same: each problem is logged, here and
    when the worker starts, and each tick raises ConfigError with all of them, until the file is right. strict: raises
    ConfigError here. settings, if not given, are read by the process that runs the first tick, so beat and web
    processes need no credentials: from the environment, then from `.env` beside the file or in the working directory.

    A tick syncs the tables that are due (a table that failed is, unless it has failed several times in a row), logs a
    SyncReport, and returns its metrics. An error for which a retry may succeed is retried five times with exponential
    backoff and full jitter, until the message expires at the next beat; any other error is logged, recorded in the
    ledger, and needs a fix.
    The message is acknowledged at the end, and a tick is idempotent: the message of a killed worker is delivered
    again, and a duplicate does nothing. A beat entry of this name that the application already has is kept.

    With `execution: distributed` in the configuration a tick records the tables without changes, and sends a
    message of the task `<task_name>.table` for each of the others, the smallest first. The run of a large table
    sends messages of `<task_name>.chunk` for its backfill. Messages go to their table's `queue:`, else to
    chunk_queue or table_queue, else to queue, else to the queue of the application's task_routes.
    """
    source = ConfigSource(config, settings, strict=strict)
    tasks = EngineTasks(source)
    if source.option("execution") is Execution.DISTRIBUTED:
        table_queue = table_queue or queue
        task = add_distributed_tasks(app, tasks, task_name, table_queue, chunk_queue or table_queue)
    else:
        task = _add_single_task(app, tasks, task_name)
    _add_beat_entry(app, beat_entry, task_name, source.option("sync_interval_seconds"), queue)
    follow_worker(app, tasks)
    return task


def _add_single_task(app: Celery, tasks: EngineTasks, task_name: str) -> Any:
    @app.task(name=task_name, **task_options(tasks.source))  # type: ignore[misc, untyped-decorator, unused-ignore]
    def sync_postgres_to_snowflake(
        self: Any, tables: Sequence[str] | None = None, load: bool = False
    ) -> dict[str, Any]:
        """Sync these tables, whether they are due or not, or all that are due. load: also load rows that are staged
        (`load_every`) before they are due."""
        due_only = tables is None
        report = tasks.run(self, "tick", lambda engine: engine.tick(tables, due_only=due_only, load=load))
        tasks.tick_ended(report, whole=due_only)
        return tasks.metrics(self, "tick", report)

    return sync_postgres_to_snowflake


def _add_beat_entry(app: Celery, name: str, task_name: str, interval: float, queue: str | None) -> None:
    """Add the beat entry when the application is finalized, so that later changes of its configuration do not remove
    it. A message expires when the next one is sent, because it would have nothing left to do."""
    options = {"expires": interval} | ({"queue": queue} if queue else {})
    entry = {"task": task_name, "schedule": interval, "options": options}

    def add(**_: Any) -> None:
        app.conf.beat_schedule = {name: entry, **(app.conf.beat_schedule or {})}

    if app.finalized:
        add()
    else:
        app.on_after_finalize.connect(add, weak=False)
