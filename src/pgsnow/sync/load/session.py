"""The session of one run in Snowflake: opened when something is to be done there, and reopened after a failure.

Errors that `Retry.NOW` marks as transient are retried within the run, a few times, never after a request to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
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
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.runtime.recorder import Recorder

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds between two attempts."""


@dataclass(slots=True)
class RunSession:
    """At most one session at a time, which does one action at a time, whichever thread it comes from: a second login
    costs more than waiting for an upload does. session: the open one, which may come from another run."""

    settings: SnowflakeSettings
    recorder: Recorder
    stop: threading.Event
    session: Session | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def do(self, action: Callable[[Session], T]) -> T:
        """The action's result; it is retried where that is safe, so it must be fit to be done twice."""
        return with_retries(lambda: self.once(action), self.stop)

    def once(self, action: Callable[[Session], T]) -> T:
        """The action's result, without a retry."""
        with self.lock:
            if self.session is None:
                tag = f"pgsnow:{self.recorder.table}:{self.recorder.run_id}"
                with self.recorder.timed("connect"):
                    self.session = connect(self.settings, query_tag=tag)
            try:
                return action(self.session)
            except PgsnowError:
                # A session that has failed may hold a transaction or a broken socket; the next try gets a new one.
                self.close()
                raise

    def hand_over(self) -> Session | None:
        """The open session, if there is one: from now on the caller's, who closes it."""
        session, self.session = self.session, None
        return session

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


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
