"""Python programs as processes of their own, forked from one that has imported what they need.

A cold start imports for a second of CPU before the program's first line; here a session pays that once. A program's
arguments, environment, directory, streams, signals and exit are its own, as after `python -m`. What a cold start
itself promises (that imports are late, that nothing needs another's import) is kept by tests that start one:
`User.start`, one on a terminal, `dev`, the demo, workers.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import socketserver
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgsnow.embedded.child import Child
from tests.progress import CEILING, wait_until

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    "snowflake.connector",
    "pyarrow.parquet",
    "pyarrow.compute",
    "numpy",
    "pygments",
)
PACKAGES = (
    "pgsnow.model",
    "pgsnow.postgres",
    "pgsnow.snowflake",
    "pgsnow.ledger",
    "pgsnow.sync",
    "pgsnow.cli",
)
NOT_IMPORTED = ("pgsnow.cli.demo_app",)
"""Is an application; importing it sets it up."""


class Forked:
    """A program under way; its output is in files."""

    def __init__(self, channel: socket.socket, streams: Sequence[Any]) -> None:
        self._channel = channel
        self._answers = channel.makefile("r")
        self._streams = streams
        self._code: int | None = None
        self.pid = int(self._answers.readline())

    def wait(self, seconds: float = CEILING) -> int:
        """Its exit code, negative for a signal. Raises TimeoutError, the program killed."""
        if self._code is None:
            self._channel.settimeout(seconds)
            try:
                self._code = int(self._answers.readline())
            except TimeoutError:
                self.kill()
                raise
            finally:
                self._channel.close()
        return self._code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def output(self) -> tuple[str, str]:
        """All that it has written to stdout and to stderr, once it has ended."""
        texts = []
        for stream in self._streams:
            with stream:
                stream.seek(0)
                texts.append(stream.read().decode())
        return texts[0], texts[1]


def run_forked(
    module: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    terminal: int | None = None,
) -> Forked:
    """Starts `python -m module args…`. terminal: a descriptor of the terminal for all three streams of the program,
    which then leads a session of its own; without one, stdin is empty and the output is kept."""
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(str(_origin().address))
    streams = [] if terminal else [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
    descriptors = [terminal] * 3 if terminal else [stream.fileno() for stream in streams]
    request = {"module": module, "args": list(args), "env": dict(env), "cwd": str(cwd)}
    socket.send_fds(channel, [json.dumps(request).encode() + b"\n"], descriptors)
    return Forked(channel, streams)


class _Origin:
    """The process that programs are forked from. It dies with this one."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pgsnow-origin-")
        folder = Path(self._folder.name)
        self.address = folder / "socket"
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        argv = [sys.executable, "-m", "tests.forked", str(self.address)]
        self.child = Child(argv, folder / "log", env=env)
        wait_until(lambda: self.address.exists() or not self.child.running, self.child.last_words)
        assert self.address.exists(), self.child.last_words()
        atexit.register(self.end)

    def end(self) -> None:
        self.child.kill()
        self._folder.cleanup()


@functools.cache
def _origin() -> _Origin:
    return _Origin()


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """A process a request, which waits for the program and answers its id, then its exit code."""

    request_queue_size = 64


class _Start(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        text, streams, _, _ = socket.recv_fds(self.request, 1 << 20, 3)
        while not text.endswith(b"\n"):
            text += self.request.recv(1 << 20)
        pid = os.fork()
        if pid == 0:
            self.request.close()
            _become(json.loads(text), streams)
        self.request.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        self.request.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Be the program that was asked for, and never return."""
    code = 1
    try:
        _take_over(request, streams)
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _take_over(request: dict[str, Any], streams: Sequence[int]) -> None:
    """What the kernel and the interpreter's start would have set."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if len(streams) == 3:
        os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate([null, *streams][-3:]):
        os.dup2(descriptor, number)
    os.closerange(3, 1024)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    origins = {str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    own = [path for path in request["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [request["cwd"], *own, *(path for path in sys.path if path not in origins)]
    sys.argv = [request["module"], *request["args"]]
    tempfile.tempdir = None
    time.tzset()


def _import_all() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    for name in PACKAGES:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.name not in NOT_IMPORTED:
                importlib.import_module(found.name)


def main(address: str) -> None:
    _import_all()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    gc.freeze()
    with _Server(f"{address}.new", _Start) as server:
        Path(f"{address}.new").rename(address)  # it listens by now
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
