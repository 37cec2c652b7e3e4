"""One run's session in Snowflake: opened when something is to be done there, and anew after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.runtime.retry import with_retries

T = TypeVar("T")


class RunSession:
    """At most one is open at a time, and does one action at a time, whichever thread it comes from: a second
    login costs more than waiting for an upload does."""

    def __init__(self, settings: SnowflakeSettings, delivery: LoadContext, session: Session | None) -> None:
        """session: one that another run session has handed on."""
        self._settings = settings
        self._delivery = delivery
        self._session = session
        self._lock = threading.RLock()

    def do(self, action: Callable[[Session], T]) -> T:
        """The action, tried again where that is safe. It must bear being done twice."""
        return self.retried(lambda: self.once(action))

    def retried(self, action: Callable[[], T]) -> T:
        """The same for what needs no session, or does `once` what it needs one for."""
        return with_retries(action, self._delivery.stop)

    def once(self, action: Callable[[Session], T]) -> T:
        """The action, not tried again."""
        with self._lock:
            session = self._opened()
            try:
                return action(session)
            except PgsnowError:
                # A session that has failed may hold a transaction or a broken socket; the next try gets a new one.
                self.close()
                raise

    def _opened(self) -> Session:
        if self._session is None:
            claim = self._delivery.claim
            with self._delivery.progress.timed("connect"):
                self._session = connect(self._settings, query_tag=f"pgsnow:{claim.table}:{claim.run_id}")
        return self._session

    def handed_on(self) -> Session | None:
        """The open session, if there is one: the caller's from now on."""
        session, self._session = self._session, None
        return session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
