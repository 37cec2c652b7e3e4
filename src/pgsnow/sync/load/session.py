"""The session of one run in Snowflake: opened when something is to be done there, and reopened after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.runtime.retry import with_retries

T = TypeVar("T")


class RunSession:
    """At most one session at a time, which does one action at a time, whichever thread it comes from: a second login
    costs more than waiting for an upload does."""

    def __init__(
        self,
        settings: SnowflakeSettings,
        recorder: Recorder,
        stop: threading.Event,
        session: Session | None = None,
    ) -> None:
        """session: an open one, of another run."""
        self._settings = settings
        self._recorder = recorder
        self._stop = stop
        self._session = session
        self._lock = threading.RLock()

    def do(self, action: Callable[[Session], T]) -> T:
        """The action's result; it is retried where that is safe, so it must be fit to be done twice."""
        return with_retries(lambda: self.once(action), self._stop)

    def once(self, action: Callable[[Session], T]) -> T:
        """The action's result, without a retry."""
        with self._lock:
            if self._session is None:
                tag = f"pgsnow:{self._recorder.table}:{self._recorder.run_id}"
                with self._recorder.timed("connect"):
                    self._session = connect(self._settings, query_tag=tag)
            try:
                return action(self._session)
            except PgsnowError:
                # A session that has failed may hold a transaction or a broken socket; the next try gets a new one.
                self.close()
                raise

    def hand_over(self) -> Session | None:
        """The open session, if there is one: from now on the caller's, who closes it."""
        session, self._session = self._session, None
        return session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
