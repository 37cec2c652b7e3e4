"""The Snowflake session of one run: opened when first needed, and reopened after a failure.

Errors that `Retry.NOW` marks as transient are retried within the run a few times, but not after a request to stop.
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

from pgsnow.model.errors import (
    PgsnowError,
    TargetAccessDenied,
    TargetLoginRefused,
    TargetQueryFailed,
    TargetUnavailable,
)
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.sql.statements import cancel_statements
from pgsnow.sync.runtime.recorder import Recorder

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds between two attempts."""


@dataclass(slots=True)
class RunSession:
    """Holds at most one session, which executes one action at a time, from any thread: waiting for an upload is
    cheaper than a second login. session: an open session taken over from another run. refused: the login that
    Snowflake refused, by the tick's id; it is shared by all tables of a tick, because refused logins lock a user.
    unsettled: numbers of sessions whose last statement may still be running; it is cancelled before the next action."""

    settings: SnowflakeSettings
    recorder: Recorder
    stop: threading.Event
    session: Session | None = None
    refused: dict[str, TargetLoginRefused] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    unsettled: set[int] = field(default_factory=set)
    failed: bool = False
    """True once an action has failed: it may not be known what it changed."""

    def do(self, action: Callable[[Session], T]) -> T:
        """The action's result. It is retried where that is safe, so it must be safe to execute twice."""
        return with_retries(lambda: self.once(action), self.stop)

    def once(self, action: Callable[[Session], T]) -> T:
        """The action's result, without a retry."""
        with self.lock:
            if self.session is None:
                tick, known = self.recorder.run_id, self.refused.get(self.recorder.run_id)
                if known is not None:
                    raise TargetLoginRefused(str(known), advice=known.advice, code=known.code)
                try:
                    with self.recorder.timed("connect"):
                        tag = f"pgsnow:{self.recorder.table}:{tick}"
                        self.recorder.logins += 1
                        self.session = connect(self.settings, query_tag=tag)
                except TargetLoginRefused as error:
                    self.refused.clear()
                    self.refused[tick] = error
                    raise
            self.session.sent = self.recorder.statements
            try:
                if self.unsettled:
                    self._settle(self.session)
                return action(self.session)
            except PgsnowError as error:
                self.failed = True
                if isinstance(error, TargetUnavailable):
                    self.unsettled.add(self.session.number)
                # A session that has failed may hold a transaction or a broken socket; the next attempt gets a new one.
                self.close()
                raise

    def _settle(self, session: Session) -> None:
        """Cancel what other sessions have left running, so that none of it commits after a second attempt at it."""
        for number in sorted(self.unsettled):
            try:
                session.execute(cancel_statements(number))
            except (TargetQueryFailed, TargetAccessDenied) as refused:
                self.recorder.in_doubt = True
                self.recorder.events.append(
                    f"the last statement of Snowflake session {number} could not be cancelled, and may commit late:"
                    f" {refused}"
                )
            self.unsettled.discard(number)

    def hand_over(self) -> Session | None:
        """The open session, if any. From now on the caller owns it and must close it."""
        session, self.session = self.session, None
        return session

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


def is_transient(error: BaseException) -> bool:
    """True for a PgsnowError that may not occur again if the action is retried at once."""
    return isinstance(error, PgsnowError) and error.transient


def with_retries(action: Callable[[], T], stop: threading.Event, *, attempts: int = ATTEMPTS) -> T:
    """The action's result; the action must be safe to execute twice. Raises a non-transient error at once, and a
    transient one after `attempts` attempts or once `stop` is set."""
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts) | stop_when_event_set(stop),
        wait=wait_exponential_jitter(multiplier=0.2, max=LONGEST_WAIT),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return retrying(action)
