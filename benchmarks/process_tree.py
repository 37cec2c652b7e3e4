"""Cost of a command and all processes it starts: seconds, CPU seconds, peak memory. Linux, from /proc (man 5 proc)."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Spent:
    """Wall seconds, CPU seconds (user and system) of the whole process tree, and its peak resident memory in MB."""

    wall: float
    cpu: float
    rss_mb: float


class CommandFailed(Exception):
    """A measured command ended with an error, or not in time."""


class Peak:
    """Largest total resident memory of a process and its descendants, sampled every 20 ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mb(self) -> float:
        return self.bytes / 2**20

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, sum(map(resident, descendants(self._pid))))
            if self._done.wait(LOOK_SECONDS):
                return


def descendants(pid: int) -> Iterator[int]:
    """The process itself and its descendants that still run."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from descendants(child)


def resident(pid: int) -> int:
    """Bytes; 0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def cpu_of(pid: int) -> float:
    """CPU seconds of one process so far, including its children that ended and were awaited."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def cpu_of_tree(pid: int) -> float:
    """CPU seconds of a process and its descendants so far, including those that ended and were awaited."""
    found = 0.0
    for one in descendants(pid):
        with suppress(OSError):  # it has ended meanwhile
            found += cpu_of(one)
    return found


def most_resident(pid: int) -> int:
    """Peak resident memory of a running process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    return int(peak) * 1024


def run(argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, seconds: float) -> Spent:
    """Run a command to its end; its output goes to the end of `log`. Raises CommandFailed with the log's end."""
    with log.open("ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdout=output, stderr=output, start_new_session=True
        )
        with Peak(process.pid) as peak, _ended_in(process, seconds) as late:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
    if process.returncode != 0:
        why = f"not done after {seconds:.0f} s" if late.is_set() else f"ended with {process.returncode}"
        raise CommandFailed(f"{Path(argv[0]).name}: {why}: {last_words(log)}")
    return Spent(wall, used.ru_utime + used.ru_stime, peak.mb)


@contextmanager
def _ended_in(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kills the process and everything in its session after the time limit."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def last_words(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-400:]
