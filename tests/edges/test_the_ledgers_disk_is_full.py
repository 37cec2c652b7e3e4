"""The disk of the ledger's server is full.

Group: ledger
Danger: Rows are loaded, and the ledger cannot record it: they would be loaded twice, or skipped. A server whose log
finds no room ends all sessions, and does not start again until there is some.
Answer: A checkpoint that cannot be written has not moved: the rows are read and loaded again, which changes nothing
in Snowflake. The run fails with LedgerUnavailable, which names the disk; the first tick after there is room goes
on. If the ledger is in the source's database, its server is the one to look at.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.model.errors import LedgerUnavailable
from pgsnow.model.settings.settings import Settings
from pgsnow.testing.faults import AtPhase
from tests.world import NO_SNOWFLAKE, MemoryWorld

ADVICE = "Free space on the disk of the ledger's server"
NO_ROOM = """
create function no_room() returns trigger language plpgsql as $$ begin
    raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
end $$;
create trigger no_room before update on sync_watermarks execute function no_room();
alter table sync_watermarks disable trigger no_room
"""
FILL = "create table if not exists filling (t text); alter table filling alter t set storage external;"
CONFIG = {
    **FAST_AND_FORGETFUL,
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "wal_recycle": "off",
}


@pytest.fixture
def small_disk(servers_dir: Path) -> Iterator[Path]:
    """A file system of 100 MB."""
    folder = servers_dir / "small_disk"
    folder.mkdir(mode=0o711)
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100m,mode=0711", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        ).returncode
    ):
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(small_disk: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(small_disk / "ledger", config=CONFIG) as server:
        yield server


def fill(server: EmbeddedPostgres, folder: Path) -> None:
    """Until not a page fits any more. Where nothing but the log takes room, the server may end the session."""
    blocks = os.statvfs(folder)
    with (folder / "filling").open("wb") as file:
        left = blocks.f_bavail * blocks.f_frsize
        file.write(bytes(left))


@pytest.mark.thorough
def test_the_tick_fails_and_the_next_one_goes_on(
    memory_world: MemoryWorld, server: EmbeddedPostgres, small_disk: Path
) -> None:
    """The disk gets full after rows were read, and stays so for a tick. The worker keeps no table locked meanwhile,
    though it could not record that its run has ended."""
    world = memory_world
    world.settings = Settings.from_env({**world.env, "LEDGER_DSN": server.dsn(), **NO_SNOWFLAKE})
    world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 50) g")
    with world.engine() as engine:
        assert engine.tick().failures == ()
    world.sql("insert into users (id, name) select g, 'n' || g from generate_series(51, 90) g")

    def grow() -> None:
        """Some session of the server needs more room than there is."""
        fill(server, small_disk)
        with psycopg.connect(server.dsn(), autocommit=True) as conn, pytest.raises(psycopg.Error):
            conn.execute(FILL.encode())
            for _ in range(100):
                conn.execute("insert into filling select repeat('x', 100000)")

    with world.engine(AtPhase("written", grow)) as engine:
        (report,) = engine.tick().tables
        assert (report.error_type, report.transient) == ("LedgerUnavailable", True)
        assert ADVICE in (report.advice or "")
        with pytest.raises(LedgerUnavailable) as caught:
            engine.tick()
        assert ADVICE in caught.value.advice
        (small_disk / "filling").unlink()
        (report,) = engine.tick().tables
        assert report.ok, report
    world.assert_equal()


def test_a_worker_that_cannot_record_its_end_keeps_no_table_locked(memory_world: MemoryWorld) -> None:
    """Each write to the ledger fails from one point of a run on; then the server has room again. The same worker syncs
    the table in its next tick, and does not wait until its own lease ends."""
    world = memory_world
    world.sql(NO_ROOM)
    for n, phase in enumerate(("started", "written", "checkpointed")):
        world.sql(f"insert into users (id) values ({n})")
        full = AtPhase(phase, lambda: world.sql("alter table sync_watermarks enable trigger no_room"))
        with world.engine(full) as engine:
            (report,) = engine.tick().tables
            assert (report.error_type, ADVICE in (report.advice or "")) == ("LedgerUnavailable", True)
            world.sql("alter table sync_watermarks disable trigger no_room")
            (report,) = engine.tick().tables
            assert report.ok, report
        world.assert_equal()
