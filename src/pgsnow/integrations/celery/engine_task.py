"""The work of a message: done by this process's engine, stopped in time, its failure handled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from celery.exceptions import SoftTimeLimitExceeded

from pgsnow.config.load import load_settings
from pgsnow.integrations.celery.after_failure import MAX_RETRIES, after_failure
from pgsnow.integrations.celery.shutdown import SharedFlag, run_stoppable
from pgsnow.integrations.per_process import OnePerProcess
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import PgsnowError, Unavailable
from pgsnow.model.report import SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from pgsnow.sync.engine import Engine

Done = TypeVar("Done")

GRACE_SECONDS = 300
"""From the soft time limit, which asks a job to stop after its load unit, to the hard one, which kills."""


class Jobs:
    """One engine a process, made at the first job."""

    def __init__(self, config: SyncConfig, settings: Settings | None) -> None:
        self.config = config
        self.flag = SharedFlag()
        self.engines = OnePerProcess(partial(_make_engine, config, settings))

    def run(self, task: Any, what: str, work: Callable[[Engine], Done]) -> Done:
        """What `work` returns. Raises what the task is to raise."""
        try:
            engine = self.engines.get()
            return run_stoppable(partial(work, engine), engine.stop, self.flag)
        except SoftTimeLimitExceeded:
            logger().error(f"{what} stopped at its time limit; the next one goes on from the checkpoints")
            self.engines.close()  # a stopped engine stays stopped
            raise
        except PgsnowError as error:
            raise after_failure(task, what, error) from None

    def told(self, task: Any, what: str, report: SyncReport) -> dict[str, Any]:
        """The metrics, for whoever called the task. Raises what the task is to raise if trying again now may help."""
        if not report.transient:
            return report.metrics()
        failed = "; ".join(f"{table.table}: {table.error}" for table in report.failures)
        raise after_failure(task, what, Unavailable(failed)) from None


def task_options(config: SyncConfig) -> dict[str, Any]:
    """Of every task of ours; the application's own defaults are left alone."""
    return {
        "shared": False,
        "bind": True,
        "max_retries": MAX_RETRIES,
        "acks_late": True,
        "reject_on_worker_lost": True,
        "ignore_result": True,
        "soft_time_limit": config.task_time_limit_seconds,
        "time_limit": config.task_time_limit_seconds + GRACE_SECONDS,
        "throws": (PgsnowError,),
    }


def _make_engine(config: SyncConfig, settings: Settings | None) -> Engine:
    from pgsnow.sync.engine import Engine

    return Engine(config, settings or load_settings())
