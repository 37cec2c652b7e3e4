"""Whatever happens in whatever order: two quiet ticks make the target equal, and no row is deleted that exists."""

from __future__ import annotations

from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import TableReport
from pgsnow.sync.runtime.events import Event
from pgsnow.testing.faults import RaiseAt
from tests.examples import rounds
from tests.world import MemoryWorld

NEW = "insert into users (id, name) select {n} + g, 'new' from generate_series(0, 2) g"
STEPS = {
    "insert": NEW,
    "update": "update users set name = name || 'x', updated_at = clock_timestamp() where id % 2 = 0",
    "delete": "delete from users where id in (select id from users order by id % 3, id limit 2)",
    "new key": "update users set id = {n}, updated_at = clock_timestamp() where id = (select min(id) from users)",
    "again": "with gone as (delete from users where id % 2 = 1 returning id)"
    " insert into users (id, name) select id, 'again' from gone on conflict do nothing",
    "truncate": "truncate users",
    "reject": "update users set balance = 'NaN', updated_at = clock_timestamp() where id % 3 = 1",
    "accept": "update users set balance = 1, updated_at = clock_timestamp() where balance = 'NaN'",
}
PHASES = ("put", "merged", "checkpointed", "compared", "deleted")


def run(world: MemoryWorld, fails_at: str = "", writes: str = "", *, confirms: bool = False) -> TableReport:
    """A tick in a process of its own. writes: a statement that another session runs before the search."""

    def write(event: Event) -> None:
        if event.phase == "checkpointed":
            world.sql(writes)

    fails = RaiseAt(fails_at, TargetUnavailable("gone")) if fails_at else write
    with world.engine(*([fails] if fails_at or writes else [])) as engine:
        return engine.tick(confirm_deletes=confirms).tables[0]


def ids(world: MemoryWorld) -> set[int]:
    """The keys that both sides have."""
    found = {row["ID"] for row in world.warehouse.tables["NONE.ANALYTICS.USERS"].rows}
    return found & {key for (key,) in world.sql("select id from users")}


@given(
    steps=st.lists(
        st.sampled_from([*STEPS]) | st.tuples(st.just("tick"), st.sampled_from(["", *PHASES, *STEPS])),
        max_size=8,
    )
)
@settings(max_examples=rounds(3), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_two_quiet_ticks_make_the_target_equal(
    memory_world: MemoryWorld, steps: list[str | tuple[str, str]]
) -> None:
    """Writers, failures at any point, rejected rows, confirmed deletes: in any order."""
    world, numbers = memory_world, count(1000, 10)
    world.tables[0] |= {"sweep_every": "1ms", "sweep_share": "100%"}
    world.sql("truncate users")
    world.sql(NEW.format(n=1))
    run(world, confirms=True)
    for step in steps:
        if isinstance(step, str):
            world.sql(STEPS[step].format(n=next(numbers)))
            continue
        what = step[1]
        both = ids(world)
        writes = STEPS[what].format(n=next(numbers)) if what in STEPS else ""
        run(world, fails_at=what if what in PHASES else "", writes=writes)
        there = {row["ID"] for row in world.target().rows}
        assert both & {key for (key,) in world.sql("select id from users")} <= there
    world.sql(STEPS["accept"])
    run(world, confirms=True)
    report = run(world, confirms=True)
    assert report.ok, report
    world.assert_equal()
    assert world.sql("select sweep ->> 'pending_since' from sync_watermarks") == [(None,)]
