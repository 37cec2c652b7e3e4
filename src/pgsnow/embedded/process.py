"""Ports and processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pgsnow.model.errors import PgsnowError

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02
LONGEST = 10
"""While there is progress, a wait may take this many times its seconds."""


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


def wait_for(
    done: Callable[[], bool],
    seconds: float,
    *,
    pause: float = POLL_SECONDS,
    progress: Callable[[], object] = lambda: None,
) -> bool:
    """Polls until `done()`, every `pause` seconds; False if it is not within `seconds`.

    progress: a value that changes as long as there is progress, such as the CPU time of a process. The seconds then
    count from its last change, up to LONGEST times `seconds` in all.
    """
    deadline = time.monotonic() + seconds
    longest = time.monotonic() + LONGEST * seconds
    seen = progress()
    while not done():
        if (now := progress()) != seen:
            seen, deadline = now, min(time.monotonic() + seconds, longest)
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has used so far; None where that cannot be seen, or when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return None
