"""Where the tests and the servers they start keep their files: in memory, where there is room for them.

Each test makes and drops databases, some 300 files each. An ext4 file system passes over the inodes that were freed in
the last seconds one by one when it makes a file, which took a quarter of the suite's CPU time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
NEEDED_BYTES = 6 << 30


def use_memory() -> None:
    """Sets TMPDIR for this process and those it starts, unless it is set or memory is short. Linux only."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None


def _has_room() -> bool:
    if not os.access(IN_MEMORY, os.W_OK | os.X_OK):
        return False
    return min(shutil.disk_usage(IN_MEMORY).free, _available_bytes()) >= NEEDED_BYTES


def _available_bytes() -> int:
    """Of memory, as the kernel reports it (proc(5), "MemAvailable")."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) << 10
    return 0
