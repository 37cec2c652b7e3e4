"""What is done when the worker that runs the tasks starts, shuts down, and is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import signals

from pgsnow.config.load import load_settings
from pgsnow.integrations.celery.engine_task import Jobs
from pgsnow.model.config.sync_config import Execution
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from celery import Celery


def follow_worker(app: Celery, jobs: Jobs, settings: Settings | None) -> None:
    """For as long as this process lives."""

    def check(**named: Any) -> None:
        if named["instance"].app is not app:
            return
        if settings is None:
            _report_settings()
        if jobs.config.execution is Execution.DISTRIBUTED:
            _report_prefetch(app)

    def ask_to_stop(**_: Any) -> None:
        jobs.flag.set()

    def close(**_: Any) -> None:
        jobs.engines.close()

    signals.celeryd_after_setup.connect(check, weak=False)
    signals.worker_shutting_down.connect(ask_to_stop, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)
    signals.worker_shutdown.connect(close, weak=False)


def _report_settings() -> None:
    """Say what is missing when the worker starts, not first at a tick. The host's other tasks go on."""
    try:
        load_settings()
    except ConfigError as error:
        logger().error("the sync cannot run before its settings are right", problems=list(error.problems))


def _report_prefetch(app: Celery) -> None:
    """A message that a busy worker has put by is no use to an idle one.
    https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits"""
    multiplier = app.conf.worker_prefetch_multiplier
    if multiplier != 1:
        logger().warning(
            "busy workers put messages by that idle ones could take",
            worker_prefetch_multiplier=multiplier,
            advice="Set worker_prefetch_multiplier = 1 for the workers that take the sync's messages.",
        )
