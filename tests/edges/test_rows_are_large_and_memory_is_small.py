"""Rows are as large as 5 MB, and the process may have 512 MB.

Group: process
Danger: Batches that are counted in rows hold gigabytes of such rows; the worker is killed for lack of memory, in each
tick at the same place.
Answer: Rows are read, converted and written in portions of bytes. Sixty rows of 5 MB need 256 MB of memory for
the whole process.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.world import World

MEASURED = """
import sys
from pathlib import Path
from tests.faults.one_tick import main
code = main(sys.argv[1])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024)
"""


@pytest.mark.parametrize("rows", [6, pytest.param(60, marks=pytest.mark.thorough)])
def test_a_first_load_stays_below_512_megabytes(world: World, rows: int) -> None:
    """The largest resident size of the process, in which everything was loaded. Six rows are 30 MB already. (The one
    that getrusage tells includes the process that started it.)"""
    world.sql(
        f"insert into users (id, name) select g, repeat(md5(g::text), 163840) from generate_series(1, {rows}) g"
    )
    world.tables[0] |= {"load": "stage"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(world.write_config())], env={**os.environ, **world.env},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    code, megabytes = map(int, done.stdout.splitlines()[-1].split())
    assert code == 0, done.stderr
    assert megabytes < 512
    assert world.snowflake("select count(*), min(length(name)), max(length(name)) from analytics.users") == [
        (rows, 5_242_880, 5_242_880)
    ]
