"""A child process that ends when its parent ends.

A child is tied to the life of the *thread* that starts it (Linux, prctl(2): PR_SET_PDEATHSIG is sent when the
creating thread ends), so servers are launched one after the other by one long-lived thread and only then
awaited together. Where that call is missing (macOS) a killed parent leaves its children running; the next
start on the same directory stops them.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pgsnow.embedded.process import STOP_SECONDS

PR_SET_PDEATHSIG = 1


def die_with_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    """A function for a child to run before exec: it then gets `last_signal` when its parent ends."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def bind_life() -> None:
        prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended between the fork and the call
            os._exit(1)

    return bind_life


class Child:
    """One child process in its own session, with its output in a log file.

    A terminal's Ctrl-C goes to the parent alone, which decides how the child ends.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        log: Path,
        *,
        user: pwd.struct_passwd | None = None,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals | None = None,
    ) -> None:
        """orphan_signal: the signal that it gets when its parent ends; default stop_signal."""
        self.log = log
        self._stop_signal = stop_signal
        with open(log, "ab", opener=_private) as output:
            self._process = subprocess.Popen(
                [str(arg) for arg in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=None if env is None else dict(env),
                start_new_session=True,
                preexec_fn=die_with_parent(orphan_signal or stop_signal),
                **as_user(user),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Send the stop signal, and SIGKILL after `seconds`. Idempotent."""
        if self.running:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9. Idempotent."""
        if self.running:
            self._process.kill()
        self._process.wait()

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments of subprocess.Popen that run a program as this user."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
