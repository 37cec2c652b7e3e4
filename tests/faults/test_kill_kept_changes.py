"""kill -9 while changes of the log are kept in `log_spool_dir`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsnow.operations.log.setup import set_up
from pgsnow.testing.proxy import FaultProxy
from tests.faults.kill_rounds import is_killed, tick
from tests.progress import wait_until
from tests.world import World


@pytest.mark.thorough
@pytest.mark.parametrize("phase", ["kept", "staged"])
def test_killed_while_changes_are_kept(world: World, phase: str) -> None:
    """Once the files are on the disk, and once the ledger knows of them: afterwards both sides are equal, and the
    folder has nothing but its marker."""
    world.tables[0] |= {"mode": "log"}
    world.options["log_spool_dir"] = str(world.folder / "kept")
    set_up(world.config, world.settings, holder="me@here")
    try:
        for number in range(1, 3):
            world.sql(f"insert into users (id, name) values ({number}, 'joins')")
            assert tick(world).wait() == 0
        world.sql("insert into users (id, name) values (10, 'new'); delete from users where id = 1")
        with FaultProxy(world.emulator.port) as proxy:
            proxy.behave(refuse=True)
            assert is_killed(world, phase, SNOWFLAKE_PORT=str(proxy.port))
        assert kept(world)
        world.sql("update users set name = 'later' where id = 10")
        wait_until(lambda: tick(world).wait() == 0, "a tick succeeds")
        world.assert_equal()
        assert kept(world) == []
    finally:
        world.sql("select pg_drop_replication_slot(slot) from sync_slots")


def kept(world: World) -> list[Path]:
    return [*(world.folder / "kept").rglob("*.parquet")]
