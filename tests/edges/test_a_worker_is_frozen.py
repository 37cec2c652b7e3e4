"""A worker is frozen for longer than its lease, and goes on.

Group: process
Danger: A virtual machine is suspended, or a container paused, in the middle of a run. Another worker takes its
tables over. When the first one wakes up, it would load rows that are older than those of the other, bring back rows
that were deleted, or move a checkpoint back.
Answer: The ledger refuses every write of the older run (LeaseLost), and no statement of it changes a row in
Snowflake that the newer run has loaded. While the frozen worker still has the replication slot, tables with `mode:
log` are read without the log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.progress import wait_until
from tests.world import World

FREEZES = """
import os, signal, sys
from pathlib import Path
from pgsnow.config.load import load_config, load_settings
from pgsnow.sync.engine import Engine
from pgsnow.testing.faults import AtPhase
at = AtPhase(sys.argv[2], lambda: os.kill(os.getpid(), signal.SIGSTOP))
with Engine(load_config(Path(sys.argv[1])), load_settings(), observer=at) as engine:
    print([table.error_type for table in engine.tick().tables])
"""
PHASES = ("read", "put", "merged", "checkpointed")


@contextmanager
def frozen(world: World, phase: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has frozen itself at this point of a tick."""
    process = subprocess.Popen(
        [sys.executable, "-c", FREEZES, str(world.write_config()), phase],
        env={**os.environ, **world.env}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        wait_until(lambda: ") T " in stat.read_text() or process.poll() is not None, "it is frozen")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("mode", "phase"),
    [
        pytest.param(mode, phase, marks=() if (mode, phase) == ("log", "put") else pytest.mark.thorough)
        for mode in ("watermark", "log")
        for phase in PHASES
    ],
)
def test_it_wakes_up_after_another_worker_has_taken_over(world: World, mode: str, phase: str) -> None:
    """Rows that it had read were changed and deleted since, and are loaded."""
    world.tables[0] |= {"load": "stage", "sweep_every": "1ms", "sweep_share": "100%"}
    if mode == "log":
        world.tables[0] |= {"mode": "log"}
        world.options["log_publication"] = "pgsnow_frozen"
        world.sql("create publication pgsnow_frozen for table users")
    world.sql("insert into users (id, name) select g, 'first' from generate_series(1, 40) g")
    for n in range(2 if mode == "watermark" else 4):
        world.sql(f"insert into users (id) values ({n + 100})")
        with world.engine() as engine:
            assert engine.tick().failures == ()
    world.close_engine()
    world.sql("update users set name = 'of the frozen', updated_at = now() where id <= 20")
    with frozen(world, phase) as process:
        world.sql("update users set name = 'newer', updated_at = now() where id <= 10")
        world.sql("delete from users where id between 15 and 20")
        world.sql("update sync_watermarks set lease_expires = clock_timestamp()")
        with world.engine() as engine:
            assert engine.tick().failures == ()
        world.assert_equal()
        os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate(timeout=100)
        assert said.strip() == "['LeaseLost']"
    world.assert_equal()
    with world.engine() as engine:
        assert engine.tick(["public.users"]).failures == ()
    world.assert_equal()
    if mode == "log":
        world.close_engine()
        world.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                  " where database = current_database()")  # fmt: skip
