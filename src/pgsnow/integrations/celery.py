"""The sync as a Celery task and a beat entry, added to an application that is already there.

    from pgsnow.integrations.celery import install
    install(app, "sync_config.yaml")

Broker and workers stay the host's own, and so does its configuration: every option below is the task's.
Nothing heavy (pyarrow, numpy, the Snowflake connector) is imported before a tick runs, so never before the
pool's fork.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pgsnow.integrations.given import GivenConfig, resolve
from pgsnow.integrations.one_per_process import OnePerProcess
from pgsnow.integrations.stopping import SharedFlag, run_stoppable
from pgsnow.model.errors import ConfigError, MissingExtra, PgsnowError, Unavailable
from pgsnow.model.settings import Settings
from pgsnow.sync.log import logger
from pgsnow.sync.setup import load_settings

try:
    from celery import signals
    from celery.exceptions import SoftTimeLimitExceeded
    from celery.utils.time import get_exponential_backoff_interval
except ImportError:
    raise MissingExtra("celery", "celery") from None

if TYPE_CHECKING:
    from celery import Celery

    from pgsnow.model.config import SyncConfig
    from pgsnow.sync.engine import Engine

TASK_NAME = "worker.sync.sync_postgres_to_snowflake"
BEAT_ENTRY = "sync-postgres-to-sf-every-2-minutes"
MAX_RETRIES = 5
BACKOFF_SECONDS = 2
BACKOFF_LIMIT = 60
GRACE_SECONDS = 300
"""From the soft time limit, which asks a tick to stop after its load unit, to the hard one, which kills."""


def install(
    app: Celery,
    config: GivenConfig,
    *,
    settings: Settings | None = None,
    task_name: str = TASK_NAME,
    beat_entry: str = BEAT_ENTRY,
    queue: str | None = None,
) -> Any:
    """Register the task and its beat entry; returns the task, which takes an optional list of tables.

    config is read here, once; raises ConfigError with all its problems. settings, if not given, are read from
    the environment by the process that runs the first tick, so beat and web processes need no credentials.

    A tick takes the tables that are due (a table that failed always is), logs a SyncReport, and returns its
    metrics. A failure that may pass is retried five times with exponential backoff and full jitter, until the
    message expires at the next beat; any other is logged, stays in the ledger, and waits for a person. The
    message is acknowledged at the end, and a tick is idempotent: a killed worker's is delivered again, a
    duplicate does nothing. A beat entry of this name that the application has written itself is left as it
    is.
    """
    sync_config = resolve(config)
    flag = SharedFlag()
    engines = OnePerProcess(partial(_make_engine, sync_config, settings))

    @app.task(  # type: ignore[misc, untyped-decorator, unused-ignore]
        name=task_name,
        shared=False,
        bind=True,
        max_retries=MAX_RETRIES,
        acks_late=True,
        reject_on_worker_lost=True,
        ignore_result=True,
        soft_time_limit=sync_config.task_time_limit_seconds,
        time_limit=sync_config.task_time_limit_seconds + GRACE_SECONDS,
        throws=(PgsnowError,),
    )
    def sync_postgres_to_snowflake(self: Any, tables: Sequence[str] | None = None) -> dict[str, Any]:
        """Bring Snowflake up to date with Postgres, for these tables or all that are due."""
        try:
            return _tick(engines, flag, tables)
        except PgsnowError as error:
            raise _after_failure(self, error) from None

    _add_beat_entry(app, beat_entry, _beat_entry(task_name, sync_config.sync_interval_seconds, queue))
    _follow_the_worker(app, engines, flag, settings)
    return sync_postgres_to_snowflake


def _make_engine(config: SyncConfig, settings: Settings | None) -> Engine:
    from pgsnow.sync.engine import Engine

    return Engine(config, settings or load_settings())


def _tick(engines: OnePerProcess[Engine], flag: SharedFlag, tables: Sequence[str] | None) -> dict[str, Any]:
    engine = engines.get()
    try:
        report = run_stoppable(partial(engine.tick, tables, due_only=True), engine.stop, flag)
    except SoftTimeLimitExceeded:
        logger().error("tick stopped at its time limit; the next one goes on from the checkpoints")
        engines.close()  # a stopped engine stays stopped
        raise
    if report.transient:
        raise Unavailable("; ".join(f"{failed.table}: {failed.error}" for failed in report.failures))
    return report.metrics()


def _after_failure(task: Any, error: PgsnowError) -> Exception:
    """What the task raises: Celery's Retry, or the error itself."""
    log = logger().bind(error=str(error), error_type=type(error).__name__, advice=error.advice)
    if not error.transient:
        log.error("tick failed")
        return error
    retries = task.request.retries
    if task.request.called_directly or retries >= MAX_RETRIES:
        log.error("tick failed; the next one tries again", retries=retries)
        return error
    delay = get_exponential_backoff_interval(BACKOFF_SECONDS, retries, BACKOFF_LIMIT, full_jitter=True)
    log.warning("tick failed and is tried again", retries=retries, retry_in_seconds=delay)
    retry: Exception = task.retry(exc=error, countdown=delay, throw=False)
    return retry


def _beat_entry(task_name: str, interval: float, queue: str | None) -> dict[str, Any]:
    # A message that no worker took before the next one is sent has nothing left to do.
    options = {"expires": interval} | ({"queue": queue} if queue else {})
    return {"task": task_name, "schedule": interval, "options": options}


def _add_beat_entry(app: Celery, name: str, entry: dict[str, Any]) -> None:
    """When the application is complete, whatever it does to its configuration after `install`."""

    def add(**_: Any) -> None:
        app.conf.beat_schedule = {name: entry, **(app.conf.beat_schedule or {})}

    if app.finalized:
        add()
    else:
        app.on_after_finalize.connect(add, weak=False)


def _follow_the_worker(
    app: Celery, engines: OnePerProcess[Engine], flag: SharedFlag, settings: Settings | None
) -> None:
    def check_settings(**named: Any) -> None:
        if named["instance"].app is app and settings is None:
            _report_settings()

    def ask_to_stop(**_: Any) -> None:
        flag.set()

    def close(**_: Any) -> None:
        engines.close()

    signals.celeryd_after_setup.connect(check_settings, weak=False)
    signals.worker_shutting_down.connect(ask_to_stop, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)
    signals.worker_shutdown.connect(close, weak=False)


def _report_settings() -> None:
    """Say what is missing when the worker starts, not first at a tick. The host's other tasks go on."""
    try:
        load_settings()
    except ConfigError as error:
        logger().error("the sync cannot run before its settings are right", problems=list(error.problems))
