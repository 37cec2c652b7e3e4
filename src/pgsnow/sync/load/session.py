"""The session of one run in Snowflake: opened when something is to be done there, and reopened after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.runtime.retry import with_retries

T = TypeVar("T")


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
