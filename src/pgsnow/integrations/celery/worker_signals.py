"""Handlers of Celery's signals: when a worker starts, is asked to shut down, and has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import signals

from pgsnow.integrations.celery.engine_task import EngineTasks
from pgsnow.model.config.sync_config import Execution
from pgsnow.model.errors import ConfigError
from pgsnow.operations.check.broker import check_broker
from pgsnow.operations.check.result import Level
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from celery import Celery


def follow_worker(app: Celery, tasks: EngineTasks) -> None:
    """Connect the handlers, for as long as this process lives."""

    def check(**named: Any) -> None:
        if named["instance"].app is not app:
            return
        _report_settings(tasks)
        _report_broker(app)
        if tasks.source.option("execution") is Execution.DISTRIBUTED:
            _report_prefetch(app)

    def report_config(**_: Any) -> None:
        _report_config(tasks)

    def ask_to_stop(**_: Any) -> None:
        tasks.flag.set()

    def close(**_: Any) -> None:
        tasks.close()

    signals.celeryd_after_setup.connect(check, weak=False)
    signals.beat_init.connect(report_config, weak=False)
    signals.worker_shutting_down.connect(ask_to_stop, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)
    signals.worker_shutdown.connect(close, weak=False)


def _report_config(tasks: EngineTasks) -> None:
    """Log what is wrong with the configuration, now that the process writes its log."""
    try:
        tasks.source.config()
    except ConfigError as error:
        tasks.source.report(error)


def _report_settings(tasks: EngineTasks) -> None:
    """Log missing settings when the worker starts, before the first tick. The host's other tasks are not affected."""
    _report_config(tasks)
    try:
        tasks.source.settings()
    except ConfigError as error:
        logger().error("the sync cannot run before its settings are right", problems=list(error.problems))


def _report_broker(app: Celery) -> None:
    """Log a broker that loses tasks. It may be set in code, where `pgsnow check` cannot see it."""
    found = check_broker(app.conf.broker_url)
    if found.level is Level.FAILED:
        logger().error("the broker is not fit for the sync", problem=found.detail, advice=found.fix)


def _report_prefetch(app: Celery) -> None:
    """Warn about prefetching: an idle worker cannot take a message that a busy one has prefetched.
    https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits"""
    multiplier = app.conf.worker_prefetch_multiplier
    if multiplier != 1:
        logger().warning(
            "busy workers prefetch messages that idle ones could take",
            worker_prefetch_multiplier=multiplier,
            advice="Set worker_prefetch_multiplier = 1 for the workers that take the sync's messages.",
        )
