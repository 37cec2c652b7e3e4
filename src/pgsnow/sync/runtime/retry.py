"""Trying again inside a run: only what `Retry.NOW` allows, a few times, never past a request to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pgsnow.model.errors import PgsnowError

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds."""


def is_transient(error: BaseException) -> bool:
    return isinstance(error, PgsnowError) and error.transient


def with_retries(action: Callable[[], T], stop: threading.Event, *, attempts: int = ATTEMPTS) -> T:
    """The action's result; raises its last error when it stays transient, or at once when it is not."""
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts) | stop_when_event_set(stop),
        wait=wait_exponential_jitter(multiplier=0.2, max=LONGEST_WAIT),
        sleep=lambda seconds: _pause(stop, seconds),
        reraise=True,
    )
    return retrying(action)


def _pause(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)
