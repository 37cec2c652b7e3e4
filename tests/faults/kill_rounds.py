"""Rounds of kill -9 at each point of a run: after each, one plain tick must leave source and target equal, without
doubled rows and without orphaned staging. The tests run a few rounds; `make stress` runs many."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from pgsnow.testing.proxy import FaultProxy
from tests.faults.one_tick import LOCKED
from tests.forked import Forked, run_forked
from tests.progress import CEILING, wait_until
from tests.world import World

POINTS = ("written", "put", "copied", "merged")
"""After read, after PUT, after COPY, after MERGE before the checkpoint. The fifth point, after MERGE before its
reply, is `kill_before_the_reply`."""
MERGE_POINTS = ("written", "put", "merged")
"""Those of a MERGE that reads the files itself."""
DEFERRED_POINTS = ("put", "staged", "copied", "merged", "checkpointed")
"""Of a tick that stages and then loads: after PUT, once the ledger knows what waits, after COPY, after MERGE, once the
ledger knows what is loaded."""
CHUNK_POINTS = ("read", "written", "put", "copied", "chunk")


def change_source(world: World, rnd: random.Random) -> None:
    """New rows, updates, backdated updates and ties, all in one go."""
    (top,) = world.sql("select coalesce(max(id), 0) from users")[0]
    world.sql(
        f"insert into users select g, 'n' || g, g, jsonb_build_object('r', {rnd.random()}) "
        f"from generate_series({top + 1}, {top + rnd.randint(1, 300)}) g"
    )
    world.sql(
        f"update users set balance = {rnd.randint(0, 999)}, updated_at = now() where id % 7 = {rnd.randint(0, 6)}"
    )
    world.sql(
        "update users set name = 'backdated', updated_at = now() - interval '2 s' where random() < 0.05"
    )


def tick(world: World, phase: str | None = None, *, nth: int = 1, **env: str) -> Forked:
    """A tick in its own process."""
    args = [str(world.write_config()), *([phase, str(nth)] if phase else [])]
    return run_forked(
        "tests.faults.one_tick", args, env={**os.environ, **world.env, **env}, cwd=Path(__file__).parents[2]
    )


def is_killed(world: World, phase: str, **options: Any) -> bool:
    """Whether a tick is killed at this phase. It begins once the server has noticed that the one that was killed before
    is gone."""
    codes: list[int] = []

    def has_begun() -> bool:
        codes.append(tick(world, phase, **options).wait())
        return codes[-1] != LOCKED

    wait_until(has_begun, "the table is free")
    return codes[-1] == -signal.SIGKILL


def kill_at(world: World, phase: str, rnd: random.Random) -> None:
    """One round at a phase of the engine."""
    change_source(world, rnd)
    assert is_killed(world, phase)
    assert_recovered(world)


def kill_before_the_reply(world: World, rnd: random.Random) -> None:
    """One round in which Snowflake has merged, and the process dies before it hears of it."""
    change_source(world, rnd)
    hold_the_reply(world)
    assert_recovered(world)


def hold_the_reply(world: World) -> None:
    """Kill a tick whose MERGE is done in Snowflake."""
    with FaultProxy(world.emulator.port) as proxy:
        proxy.behave(hold_replies=b"MERGE INTO")
        process = tick(world, None, SNOWFLAKE_PORT=str(proxy.port))
        assert proxy.wait_until_holding(CEILING), "no MERGE reached Snowflake"
        process.kill()
        process.wait()


def kill_with_bound_values(world: World) -> None:
    """One round at each point of a MERGE with bound values, which leaves nothing to be removed."""
    for point in ("written", "merged", "reply"):
        world.sql("update users set name = name || '!', updated_at = now() where id <= 2")
        world.sql("insert into users (id, name) select max(id) + 1, 'new' from users")
        if point == "reply":
            hold_the_reply(world)
        else:
            assert is_killed(world, point)
        assert_recovered(world)


def kill_while_a_file_goes_up(world: World, rnd: random.Random) -> None:
    """One round in which a unit's first files are in the stage, the next is under way, and rows are still read."""
    change_source(world, rnd)
    with FaultProxy(world.emulator.port) as proxy:
        proxy.behave(hold_replies=b"part-0002")
        process = tick(world, None, SNOWFLAKE_PORT=str(proxy.port), PGSNOW_SMALL_PARTS="1")
        assert proxy.wait_until_holding(CEILING), "no third file went up"
        process.kill()
        process.wait()
    assert world.leftovers() != []
    assert_recovered(world)


def kill_while_rows_are_copied(world: World) -> None:
    """Rounds of a table with `insert_only`: before its transaction is committed, and after, before the reply."""
    add = "insert into users select n + g, 'new', g from generate_series(1, 50) g, (select count(*) as n from users)"
    world.sql(add)
    assert_recovered(world)  # merged, as the server's number of updates was not known; then rows are copied
    world.sql(add)
    assert is_killed(world, "copied")
    world.sql(add)
    assert_recovered(world)
    world.sql(add)
    with FaultProxy(world.emulator.port) as proxy:
        proxy.behave(hold_replies=b'"COMMIT"')
        process = tick(world, None, SNOWFLAKE_PORT=str(proxy.port))
        assert proxy.wait_until_holding(CEILING), "no COMMIT reached Snowflake"
        process.kill()
        process.wait()
    world.sql(add)
    assert_recovered(world)
    assert world.sql("select count(*) from sync_logs where full_read is not null") == [(1,)]  # the first one
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS__PGSNOW_BATCHES") == [(1,)]


def kill_a_backfill(world: World, rnd: random.Random, kills: int, parallel: int = 1) -> None:
    """A first load that is killed again and again, at random points, while rows are written. Each kill costs as many
    chunks as are loaded at once, at most."""
    for kill in range(kills):
        change_source(world, rnd)
        nth = rnd.randint(1, 2) if kill < kills - 1 else 1
        assert is_killed(world, rnd.choice(CHUNK_POINTS), nth=nth)
    assert_recovered(world)
    ((chunks, done, again),) = world.sql(
        "select count(*), count(*) filter (where state = 'done'), sum(attempts - 1) from sync_chunks"
    )
    assert done == chunks > kills
    assert again <= kills * parallel
    assert world.sql("select count(distinct backfill) from sync_chunks") == [(1,)]


def kill_a_resync(world: World) -> None:
    """Of a target that was changed by hand; it is killed at each point, and goes on. Until it is whole, the target is
    what it was."""
    world.snowflake("UPDATE ANALYTICS.USERS SET BALANCE = -1")
    before = world.snowflake("SELECT COUNT(*), SUM(BALANCE) FROM ANALYTICS.USERS")
    for at, (phase, nth) in enumerate((("chunk", 2), ("put", 1), ("copied", 1), ("written", 1))):
        wish = {} if at else {"PGSNOW_RESYNC": "1"}
        assert is_killed(world, phase, nth=nth, **wish)
        assert world.snowflake("SELECT COUNT(*), SUM(BALANCE) FROM ANALYTICS.USERS") == before
    assert is_killed(world, "replaced")
    assert_recovered(world)
    ((chunks, done, again),) = world.sql(
        "select count(*), count(*) filter (where state = 'done'), sum(attempts - 1) from sync_chunks"
    )
    assert done == chunks > 1
    assert again <= 4


def is_synced(engine: Engine) -> bool:
    report = engine.tick()
    assert not report.failures, report.failures
    return all(table.status is not Status.LOCKED for table in report.tables)


def assert_recovered(world: World) -> None:
    """A killed process keeps its table until the server has noticed that its session is gone."""
    with world.engine() as engine:
        wait_until(lambda: is_synced(engine), "the table is free")
    world.assert_equal()
    assert world.leftovers() == []
