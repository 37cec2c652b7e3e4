"""Retries within a run: errors that `Retry.NOW` marks as transient, a few times, never after a request to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pgsnow.model.errors import PgsnowError

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds between two attempts."""


def is_transient(error: BaseException) -> bool:
    """True for an error of ours that may not occur again at once."""
    return isinstance(error, PgsnowError) and error.transient


def with_retries(action: Callable[[], T], stop: threading.Event, *, attempts: int = ATTEMPTS) -> T:
    """The action's result, which must be safe to do twice. Raises an error that is not transient at once, and a
    transient one after `attempts` attempts or once `stop` is set."""
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts) | stop_when_event_set(stop),
        wait=wait_exponential_jitter(multiplier=0.2, max=LONGEST_WAIT),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return retrying(action)
