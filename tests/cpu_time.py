"""CPU time of each test, its servers and programs included: `pytest -p tests.cpu_time --cpu=60 …` (Linux).

Prints the dearest tests, the sums of each file and of the whole session. A server that serves several pytest-xdist
workers cannot be told apart, so run it with `-n 0`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu", type=int, default=30, metavar="N", help="print the N dearest tests and files")


class CpuTimes:
    """Seconds of CPU by test, user and system."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = cpu_of_tree(os.getpid())
        result = yield
        self.seconds[item.nodeid] += cpu_of_tree(os.getpid()) - before
        return result

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        files: defaultdict[str, float] = defaultdict(float)
        for test, seconds in self.seconds.items():
            files[test.partition("::")[0]] += seconds
        for title, counter in (("tests", self.seconds), ("files", files)):
            terminalreporter.section(f"CPU seconds of {title}")
            dearest = sorted(counter.items(), key=lambda item: -item[1])
            for name, seconds in dearest[: config.getoption("--cpu")]:
                terminalreporter.write_line(f"{seconds:8.2f}  {name}")
        terminalreporter.write_line(f"{cpu_of_tree(os.getpid()):8.2f}  the whole session")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CpuTimes())


def cpu_of_tree(root: int) -> float:
    """Seconds of CPU that this process and its descendants have used, those that have ended and were waited for too."""
    processes = dict(_read_processes())
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    total, pending = 0, [root]
    while pending:
        pid = pending.pop()
        total += processes[pid][1] if pid in processes else 0
        pending += children.get(pid, [])
    return total / TICKS


def _read_processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Process id, its parent's, and its CPU time in clock ticks."""
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            yield int(folder.name), (int(fields[1]), sum(map(int, fields[11:15])))
