"""What becomes of a message whose work has failed."""

from __future__ import annotations

from typing import Any

from celery.utils.time import get_exponential_backoff_interval

from pgsnow.model.errors import PgsnowError
from pgsnow.sync.runtime.log import logger

MAX_RETRIES = 5
BACKOFF_SECONDS = 2
BACKOFF_LIMIT = 60


def after_failure(task: Any, what: str, error: PgsnowError) -> Exception:
    """What the task raises: Celery's Retry, or the error itself. what: `tick`, or whatever else has failed."""
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
