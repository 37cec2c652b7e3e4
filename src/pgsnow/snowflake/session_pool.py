"""Sessions that a process keeps for many runs: one that all threads share, and others for transactions.

Snowflake executes statements of one session side by side, and each commits by itself. BEGIN … COMMIT would take in the
statements of other threads, so a transaction gets a session of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from pgsnow.model.errors import TargetLoginRefused, TargetUnavailable
from pgsnow.snowflake.session import ConnectSettings, Session, connect

LONGEST_USE = 4 * 3_600.0
"""Seconds after which a session is replaced, so that changed credentials are used, and wrong ones are noticed."""
IDLE_SECONDS = 60.0
"""After so many seconds without a statement, new network connections are opened: a firewall may have dropped the old
ones without a word, and then a statement would wait for `ANSWER_SECONDS`."""
UNANSWERED_LOGINS = 4
"""After so many logins of one tick that nobody answered, its other runs fail without one of their own."""
UNANSWERED_SECONDS = 30.0
"""How long that lasts after the last of them."""


@dataclass(eq=False, slots=True)
class KeptSession:
    """A session of a pool. since, used: when it was opened and given back (monotonic seconds). users: how many threads
    use it now. served: some action in it has succeeded. retired: no other thread gets it, and its last user closes
    it."""

    session: Session
    since: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    users: int = 0
    served: bool = False
    retired: bool = False


class SessionPool:
    """Opens sessions when they are first needed. Must be created after a fork. Any thread may call."""

    def __init__(self, settings: ConnectSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._shared: KeptSession | None = None
        self._own: list[KeptSession] = []
        """Sessions for transactions that nobody uses now."""
        self._login: Future[None] | None = None
        """The login of the shared session that a thread is making now."""
        self._refused: dict[str, TargetLoginRefused] = {}
        """The login that Snowflake refused, by the tick's id: refused logins lock a user, so a tick makes no other."""
        self._unanswered: tuple[str, int, float, TargetUnavailable | None] = ("", 0, 0.0, None)
        """The last tick with logins that nobody answered: its id, how many, when the last one failed, and its error."""

    def take(self, *, own: bool = False) -> KeptSession | None:
        """An open session, which must be given back; None: `open` must be called. own: no other thread uses it."""
        with self._lock:
            kept = (self._own.pop() if self._own else None) if own else self._shared
            if kept is None:
                return None
            if is_old := time.monotonic() - kept.since > LONGEST_USE:
                self._retire(kept)
            if not kept.users and not is_old and time.monotonic() - kept.used > IDLE_SECONDS:
                kept.session.renew_sockets()
            kept.users += 1
        if not is_old:
            return kept
        self.give_back(kept, broken=True)
        return None

    def open(self, tick: str, count: Callable[[], None], *, own: bool = False) -> KeptSession:
        """A session after a login, which `count` counts. Threads that need the shared one at the same time wait for the
        login of one of them, and get its error. Raises what `connect` raises."""
        with self._lock:
            if known := self._refused.get(tick):
                raise TargetLoginRefused(str(known), advice=known.advice, code=known.code)
            last, failures, at, lost = self._unanswered
            failures = failures if last == tick else 0
            if lost and failures >= UNANSWERED_LOGINS and time.monotonic() - at < UNANSWERED_SECONDS:
                raise TargetUnavailable(str(lost), advice=lost.advice, code=lost.code)
            others = None if own else self._login
            login = Future[None]()
            if not own and others is None:
                self._login = login
        if others is not None:
            others.result()
            return self.take() or self.open(tick, count)
        try:
            count()
            kept = KeptSession(connect(self._settings), users=1)
        except BaseException as error:
            if isinstance(error, TargetUnavailable):
                self._unanswered = (tick, failures + 1, time.monotonic(), error)
            self._logged_in(login, None, {tick: error} if isinstance(error, TargetLoginRefused) else {})
            login.set_exception(error)
            raise
        self._logged_in(login, None if own else kept, {})
        login.set_result(None)
        return kept

    def _logged_in(
        self, login: Future[None], shared: KeptSession | None, refused: dict[str, TargetLoginRefused]
    ) -> None:
        with self._lock:
            self._shared = shared or self._shared
            self._refused = refused or self._refused
            if self._login is login:
                self._login = None

    def give_back(self, kept: KeptSession, *, broken: bool, own: bool = False) -> None:
        """A thread no longer uses the session. broken: nobody may use it again."""
        with self._lock:
            kept.users -= 1
            kept.used = time.monotonic()
            kept.served |= not broken
            if broken or (not own and kept is not self._shared):
                self._retire(kept)
            elif own:
                self._own.append(kept)
            ends = kept.retired and not kept.users
        if ends:
            kept.session.close()

    def close(self) -> None:
        """Log out of all sessions. No thread may use one now; `open` may be called again."""
        with self._lock:
            kept, self._shared, self._own = [*self._own, self._shared], None, []
        for one in kept:
            if one is not None:
                one.session.close()

    def _retire(self, kept: KeptSession) -> None:
        """The session gets no other users. Under the lock."""
        kept.retired = True
        if kept is self._shared:
            self._shared = None
