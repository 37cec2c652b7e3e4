"""The Snowflake sessions of one run, which it shares with the other runs of the process.

Errors that `Retry.NOW` marks as transient are retried within the run a few times, but not after a request to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    StatementInterrupted,
    TargetAccessDenied,
    TargetQueryFailed,
    TargetUnavailable,
)
from pgsnow.snowflake.errors import ENDED
from pgsnow.snowflake.session import LONGEST_TAG, Session
from pgsnow.snowflake.session_pool import KeptSession, SessionPool
from pgsnow.snowflake.sql.statements import cancel_statements
from pgsnow.sync.runtime.recorder import Recorder

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds between two attempts."""
AT_ONCE = 30.0
"""Seconds: an answer after a shorter time is the first one to a statement. (The server answers after 45 s that it still
executes the statement, and the client asks again.)"""
HARMLESS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "LIST", "PUT"})
"""Kinds of statements that change nothing if they end late."""


@dataclass(slots=True)
class RunSession:
    """Executes the actions of one run, from any thread, in sessions of the pool. Statements carry the run's query tag,
    and are recorded for this run alone.

    unsettled: numbers of sessions in which a statement of this table may still be running; it is cancelled before the
    next action. Statements of other tables in these sessions are cancelled, too; their runs execute them again."""

    pool: SessionPool
    recorder: Recorder
    stop: threading.Event
    unsettled: set[int] = field(default_factory=set)
    failed: bool = False
    """True once an action has failed: it may not be known what it changed."""
    lost: bool = False
    """True once an answer was lost: a statement that changes something may have been executed."""
    settling: threading.Lock = field(default_factory=threading.Lock)

    def do(self, action: Callable[[Session], T]) -> T:
        """The action's result. It is retried where that is safe, so it must be safe to execute twice. Its statements
        commit one by one."""
        result: T = retrying(self.stop)(self.once, action)
        return result

    def alone(self, action: Callable[[Session], T]) -> T:
        """Like `do`, in a session that nobody else uses now, so that the action may begin a transaction. If it fails,
        the session is closed, which rolls its transaction back."""
        result: T = retrying(self.stop)(self.once, action, own=True)
        return result

    def once(self, action: Callable[[Session], T], *, own: bool = False) -> T:
        """The action's result, without a retry, unless its session turns out to have ended before."""
        tag = f"pgsnow:{self.recorder.table}:{self.recorder.run_id}"
        while True:
            kept = self.pool.take(own=own) or self._open(own)
            session, broken = replace(kept.session, query_tag=tag[:LONGEST_TAG], sent=[]), True
            try:
                if self.unsettled:
                    self._settle(session)
                result = action(session)
                broken = False
                return result
            except PgsnowError as error:
                broken = own or self._is_broken(error, session)
                if error.code not in ENDED or not kept.served:
                    raise
            finally:
                self.recorder.statements.extend(session.sent)
                self.pool.give_back(kept, broken=broken, own=own)

    def _open(self, own: bool) -> KeptSession:
        def count() -> None:
            self.recorder.logins += 1

        with self.recorder.timed("connect"):
            return self.pool.open(self.recorder.run_id, count, own=own)

    def _is_broken(self, error: PgsnowError, session: Session) -> bool:
        """True if the session must not be used any more after this error of an action."""
        if not isinstance(error, TargetUnavailable) or isinstance(error, StatementInterrupted):
            self.failed = True
            # A grant or a warehouse that is missing at the login counts only after another login.
            return isinstance(error, TargetAccessDenied)
        last = session.sent[-1] if session.sent else None
        if error.code in ENDED and len(session.sent) == 1 and session.sent[0].seconds < AT_ONCE:
            return True  # nothing was executed
        self.failed = True
        self.lost |= any(sent.kind not in HARMLESS for sent in session.sent)
        if last is not None and last.failed and last.kind not in HARMLESS:
            self.unsettled.add(session.number)
        return True

    def _settle(self, session: Session) -> None:
        """Cancel what other sessions have left running, so that none of it commits after a second attempt at it."""
        with self.settling:
            for number in sorted(self.unsettled):
                # A session that is still in use has lost no statement, so only those of earlier runs are cancelled.
                if number != session.number:
                    self._cancel(session, number)
                self.unsettled.discard(number)

    def _cancel(self, session: Session, number: int) -> None:
        try:
            session.execute(cancel_statements(number))
        except (TargetQueryFailed, TargetAccessDenied) as refused:
            self.recorder.in_doubt = True
            self.recorder.events.append(
                f"the last statement of Snowflake session {number} could not be cancelled, and may commit late:"
                f" {refused}"
            )


def is_transient(error: BaseException) -> bool:
    """True for a PgsnowError that may not occur again if the action is retried at once."""
    return isinstance(error, PgsnowError) and error.transient


def with_retries(action: Callable[[], T], stop: threading.Event) -> T:
    """The action's result; the action must be safe to execute twice. See `retrying`."""
    return retrying(stop)(action)


def retrying(stop: threading.Event) -> Retrying:
    """Calls a function again after a transient error, ATTEMPTS times at most, and not once `stop` is set. Other errors
    are raised at once."""
    return Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(stop),
        wait=wait_exponential_jitter(multiplier=0.2, max=LONGEST_WAIT),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
