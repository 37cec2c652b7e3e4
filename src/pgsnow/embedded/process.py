"""A server as a child process: started, awaited, stopped, and gone when its parent is gone.

The children are tied to the life of the *thread* that starts them (Linux, prctl(2): PR_SET_PDEATHSIG is sent
when the creating thread ends), so servers are launched one after the other by one long-lived thread and
only then awaited together. Where that call is missing (macOS) a killed parent leaves its children running;
the next start on the same directory stops them.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pgsnow.model.errors import PgsnowError

PR_SET_PDEATHSIG = 1
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02


class EmbeddedServerFailed(PgsnowError):
    """An embedded server did not start."""


def free_port() -> int:
    """A loopback TCP port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def port_in_use(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def accepts(port: int) -> bool:
    """True if something on this machine accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    """True if a process with this id exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def command_line(pid: int) -> str:
    """The arguments of a running process joined by spaces, '' when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        shown = subprocess.run(
            ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
        )
        return shown.stdout.strip()


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    """Polls until `done()`; False if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def die_with_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before exec so that it gets `last_signal` when its parent is gone."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def bind_life() -> None:
        prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the call
            os._exit(1)

    return bind_life


class Child:
    """One child process in a session of its own, its output in a log file.

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
        """orphan_signal: what it gets when its parent is gone, if not stop_signal."""
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
        """Asks it to end, and after `seconds` makes it. Idempotent."""
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


class EmbeddedServer(ABC):
    """A server of our own on a loopback port: `start` = `launch` + `wait`.

    `launch` returns as soon as the process runs, so that several servers come up at the same time.
    All methods are idempotent. A port that was not given is chosen at the first launch and kept.
    """

    name: str
    stop_signal: signal.Signals = signal.SIGTERM

    def __init__(self, port: int | None = None) -> None:
        self._fixed_port = port is not None
        self._port = port
        self._child: Child | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def port_is_given(self) -> bool:
        return self._fixed_port

    def prefer_port(self, port: int) -> None:
        """Takes this port if it is free at the first launch."""
        if not self._fixed_port:
            self._port = port

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    @abstractmethod
    def _spawn(self) -> Child:
        """Starts the process; does not wait for it."""

    @abstractmethod
    def _ready(self) -> bool:
        """True once it takes requests."""

    def launch(self) -> None:
        """Raises EmbeddedServerFailed when the given port is taken."""
        if self.pid is not None:
            return
        if port_in_use(self.port):
            if self._fixed_port:
                raise EmbeddedServerFailed(
                    f"{self.name}: port {self.port} is in use",
                    advice="Choose another port, or stop what listens on it.",
                )
            self._port = free_port()
        self._child = self._spawn()

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Until it answers. EmbeddedServerFailed, with the end of its log, when it ends or is too slow."""
        child = self._child
        if child is None:
            raise EmbeddedServerFailed(f"{self.name} was not launched")
        answered = wait_for(lambda: not child.running or self._ready(), seconds)
        if not child.running or not answered:
            self.kill()
            raise EmbeddedServerFailed(
                f"{self.name} did not start:\n{child.last_words()}", advice=f"Read {child.log}."
            )

    def start(self) -> Self:
        self.launch()
        self.wait()
        return self

    def stop(self) -> None:
        """Ends it in order: everything committed is on disk."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
