"""kill -9 while deleted rows are searched for and removed: the next tick makes the target equal, and deletes no row
that exists."""

from __future__ import annotations

import signal

from pgsnow.testing.proxy import FaultProxy
from tests.faults.kill_rounds import assert_recovered, tick
from tests.progress import CEILING
from tests.world import World


def test_killed_at_each_step_of_a_search(world: World) -> None:
    """Before the DELETE, after it, and while its answer is under way. What the dead run's
    statement did is not taken for an alteration of the target."""
    world.tables[0] |= {"sweep_every": "1ms", "sweep_share": "100%"}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 40) g")
    assert_recovered(world)
    for at, phase in enumerate(("compared", "deleted")):
        world.sql(f"delete from users where id % 10 = {at}")
        assert tick(world, phase).wait() == -signal.SIGKILL
        assert_recovered(world)
    world.sql("delete from users where id % 10 = 3")
    with FaultProxy(world.emulator.port) as proxy:
        proxy.behave(hold_replies=b"DELETE FROM")
        process = tick(world, None, SNOWFLAKE_PORT=str(proxy.port))
        assert proxy.wait_until_holding(CEILING), "no DELETE reached Snowflake"
        process.kill()
        process.wait()
    assert_recovered(world)
    assert world.sql("select count(*) from sync_logs where full_read is not null") == [(1,)]
