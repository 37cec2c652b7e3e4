"""Work of a Celery task: it runs on this process's engine, ends at the soft time limit, and is retried after an error
for which a retry may succeed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from celery.exceptions import Retry, SoftTimeLimitExceeded
from celery.utils.time import get_exponential_backoff_interval

from pgsnow.integrations.celery.shutdown import SharedFlag, run_stoppable
from pgsnow.integrations.config_source import ConfigSource
from pgsnow.integrations.notify import is_wanted
from pgsnow.integrations.per_process import OnePerProcess
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import ConfigError, MissingExtra, PgsnowError, Unavailable, UnexpectedError
from pgsnow.model.report import SyncReport
from pgsnow.model.sentences import with_name
from pgsnow.model.unexpected import ADVICE, public_text
from pgsnow.sync.runtime.log import log_unexpected, logger

if TYPE_CHECKING:
    from pgsnow.integrations.notify.after_tick import AfterTick
    from pgsnow.sync.engine import Engine

Done = TypeVar("Done")

GRACE_SECONDS = 300
"""From the soft time limit, which asks a task to stop after its load batch, to the hard one, which kills it."""
MAX_RETRIES = 5
BACKOFF_SECONDS = 2
BACKOFF_LIMIT = 60


class EngineTasks:
    """Runs the work of every task on one engine for each process, which the first task creates."""

    def __init__(self, source: ConfigSource) -> None:
        self.source = source
        self.flag = SharedFlag()
        self._after = OnePerProcess(partial(_make_after_tick, source))
        self.engines = OnePerProcess(self._make_engine)

    @property
    def config(self) -> SyncConfig:
        """The configuration. Raises ConfigError as long as it is wrong."""
        return self.source.config()

    def run(self, task: Any, what: str, work: Callable[[Engine], Done]) -> Done:
        """Run `work` and return its result. Raises Celery's Retry if a retry may succeed, else a PgsnowError."""
        try:
            engine = self.engines.get()
            return run_stoppable(partial(work, engine), engine.stop, self.flag)
        except SoftTimeLimitExceeded:
            logger().error(f"{what} stopped at its time limit; the next one continues from the checkpoints")
            self.engines.close()  # a stopped engine stays stopped
            raise
        except PgsnowError as error:
            raised = after_failure(task, what, error)
            self._tick_failed(what, raised)
            raise raised from None
        except Exception as error:
            log_unexpected(error, self.source.secrets())
            self._tick_failed(what, error)
            raise UnexpectedError(public_text(error), advice=ADVICE) from None

    def tick_ended(self, report: SyncReport, *, whole: bool) -> None:
        """Begin to send alerts and the heartbeat, if they are configured; nothing waits for them. whole: the tick was
        one of the schedule. With the extra `otel`, the tick is recorded as a trace."""
        with suppress(MissingExtra):
            from pgsnow.integrations.otel import record

            record(report)
        try:
            if is_wanted(self.config):
                self._after.get().tick_ended(self.engines.get().ledger, report, beat=whole)
        except Exception as error:  # of any kind: the sync itself has ended well
            log_unexpected(error, self.source.secrets())

    def runs_ended(self, report: SyncReport) -> None:
        """Begin to send the lineage of a table's task, as `tick_ended` does for a tick."""
        if self.config.openlineage_url is not None:
            self._after.get().runs_ended(self.engines.get().ledger, report)

    def _make_engine(self) -> Engine:
        from pgsnow.sync.engine import Engine

        config, settings = self.config, self.source.settings()
        return Engine(
            config, settings, observer=self._after.get().observer if config.openlineage_url else None
        )

    def _tick_failed(self, what: str, raised: Exception) -> None:
        """Request the heartbeat for failures after a tick that ended with an error, unless it is retried."""
        is_over = what == "tick" and not isinstance(raised, Retry)
        if is_over and self.source.is_right and is_wanted(self.config):
            with suppress(ConfigError):  # of the settings: the task raises it
                self._after.get().tick_failed()

    def close(self) -> None:
        """Let what is being sent end, for some seconds at most, and close the connections of this process."""
        self._after.close()
        self.engines.close()

    def metrics(self, task: Any, what: str, report: SyncReport) -> dict[str, Any]:
        """The task's result. Raises Celery's Retry if tables failed and a retry may succeed for all of them."""
        if not report.transient:
            return report.metrics()
        failed = "; ".join(with_name(table.table, table.error or "") for table in report.failures)
        raise after_failure(task, what, Unavailable(failed)) from None


def after_failure(task: Any, what: str, error: PgsnowError) -> Exception:
    """The exception for the task to raise: Celery's Retry, or the error itself. what: the work's name in the
    log."""
    log = logger().bind(error=str(error), error_type=type(error).__name__, advice=error.advice)
    if not error.transient:
        log.error(f"{what} failed")
        return error
    retries = task.request.retries
    if task.request.called_directly or retries >= MAX_RETRIES:
        log.error(f"{what} failed; the next one tries again", retries=retries)
        return error
    delay = get_exponential_backoff_interval(BACKOFF_SECONDS, retries, BACKOFF_LIMIT, full_jitter=True)
    log.warning(f"{what} failed and is tried again", retries=retries, retry_in_seconds=delay)
    retry: Exception = task.retry(exc=error, countdown=delay, throw=False)
    return retry


def task_options(source: ConfigSource) -> dict[str, Any]:
    """Celery's options of every task of pgsnow; the application's own defaults stay unchanged."""
    seconds = source.option("task_time_limit_seconds")
    return {
        "shared": False,
        "bind": True,
        "max_retries": MAX_RETRIES,
        "acks_late": True,
        "reject_on_worker_lost": True,
        "ignore_result": True,
        "soft_time_limit": seconds,
        "time_limit": seconds + GRACE_SECONDS,
        "throws": (PgsnowError,),
    }


def _make_after_tick(source: ConfigSource) -> AfterTick:
    from pgsnow.integrations.notify.after_tick import AfterTick

    config = source.config()
    return AfterTick(config, source.settings() if config.openlineage_url else None)
