"""With `deletes: soft`, deleted rows stay in the target with their last values and the time when they were found
missing, and come back when their key does."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.key_range import DifferenceKind
from pgsnow.model.report import Status, TableReport
from pgsnow.operations.plan.preview import preview
from tests.examples import rounds
from tests.world import MemoryWorld, World

ALWAYS = {"sweep_every": "1ms", "sweep_share": "100%"}
"""Each tick searches for deleted rows."""
SOME = "insert into users (id, name, updated_at) select g, 'v1', now() from generate_series({}, {}) g"


def run(world: World, **options: Any) -> TableReport:
    """One run of the first table that must succeed."""
    with world.engine() as engine:
        report = engine.tick(**options).tables[0]
    assert report.status in (Status.OK, Status.IDLE), report
    return report


def held(world: World) -> dict[int, tuple[str, bool]]:
    """Each key of the target with its name, and whether it is marked. A key that is there twice is an error."""
    if isinstance(world, MemoryWorld):
        rows = [(r["ID"], r["NAME"], r.get("_PGSNOW_DELETED_AT") is not None) for r in world.target().rows]
    else:
        rows = world.snowflake('SELECT ID, NAME, "_PGSNOW_DELETED_AT" IS NOT NULL FROM ANALYTICS.USERS')
    assert len({row[0] for row in rows}) == len(rows)
    return {int(key): (name, marked) for key, name, marked in rows}


def marks(world: World) -> dict[int, Any]:
    """The time of each mark."""
    rows = world.snowflake('SELECT ID, "_PGSNOW_DELETED_AT" FROM ANALYTICS.USERS')
    return {int(key): at for key, at in rows if at is not None}


def test_rows_are_marked_once_and_come_back(world: World) -> None:
    """A search for deleted rows marks those and nothing else, and so do a full refresh, a shadow table and the new
    content of `mode: full`. A mark keeps its time; a row that is inserted again loses it."""
    world.tables[0] |= {"deletes": "soft", "max_mb_per_chunk": 0.02} | ALWAYS
    world.sql(SOME.format(1, 400))
    run(world)
    names = dict.fromkeys(range(1, 401), "v1")
    assert held(world) == {at: (name, False) for at, name in names.items()}

    world.sql("delete from users where id in (1, 2)")
    report = run(world)
    assert "marked as deleted 2 rows that are gone from the source" in report.events
    assert held(world) == {at: (name, at <= 2) for at, name in names.items()}
    first = marks(world)

    world.sql("insert into users (id, name) values (2, 'again'); delete from users where id = 3")
    report = run(world, full_refresh=True)
    assert "marked as deleted 1 row that is gone from the source" in report.events
    assert report.rows_deleted == 1
    names[2] = "again"
    assert held(world) == {at: (name, at in (1, 3)) for at, name in names.items()}
    world.sql("delete from users where id = 4")
    report = run(world, resync=True)
    assert any(event.startswith("backfill in") for event in report.events)
    assert held(world) == {at: (name, at in (1, 3, 4)) for at, name in names.items()}

    world.tables[0]["mode"] = "full"
    world.sql("delete from users where id = 5")
    report = run(world)
    assert any(event.startswith("replaced the content of") for event in report.events)
    assert held(world) == {at: (name, at in (1, 3, 4, 5)) for at, name in names.items()}
    assert marks(world)[1] == first[1]


def test_verify_takes_no_notice_of_marked_rows(world: World) -> None:
    """They are neither ghosts nor duplicates, with `deletes: soft` and afterwards, when the plan says what becomes of
    them; a row that is marked by mistake is missing."""
    world.tables[0] |= {"deletes": "soft"} | ALWAYS
    world.sql(SOME.format(1, 6))
    run(world)
    world.sql("delete from users where id = 1")
    run(world)
    for deletes in ("soft", "off"):
        world.tables[0]["deletes"] = deletes
        [verdict] = world.verdicts()
        assert verdict.equal, verdict
    [shown] = preview(world.config, world.settings)
    assert "they stay, and a row whose key comes back loses its mark" in shown.warnings[-1]
    assert '"_PGSNOW_DELETED_AT" = s."_PGSNOW_DELETED_AT"' in " ".join(shown.tick)
    world.tables[0]["deletes"] = "hard"
    [shown] = preview(world.config, world.settings)
    assert "the next search for deleted rows, and each full refresh, deletes them" in shown.warnings[-1]
    world.snowflake('UPDATE ANALYTICS.USERS SET "_PGSNOW_DELETED_AT" = CURRENT_TIMESTAMP() WHERE ID = 2')
    [verdict] = world.verdicts()
    assert dict(verdict.counts) == {DifferenceKind.MISSING: 1}


def test_a_table_that_is_read_as_a_whole_keeps_deleted_rows_too(memory_world: MemoryWorld) -> None:
    """With a key, `mode: full` marks the rows that its new content does not have."""
    world = memory_world
    world.tables[0] = {k: v for k, v in world.tables[0].items() if k != "watermark_column"}
    world.tables[0] |= {"deletes": "soft", "mode": "full"}
    world.sql(SOME.format(1, 3))
    run(world)
    world.sql("delete from users where id = 1")
    run(world)
    assert held(world) == {1: ("v1", True), 2: ("v1", False), 3: ("v1", False)}
    world.sql("insert into users (id, name) values (1, 'again'); delete from users where id > 1")
    run(world)
    assert held(world) == {1: ("again", False), 2: ("v1", True), 3: ("v1", True)}
    world.sql("delete from users")
    run(world)
    assert held(world) == {1: ("again", True), 2: ("v1", True), 3: ("v1", True)}


def test_what_soft_deletes_leave_when_they_are_switched(memory_world: MemoryWorld) -> None:
    """Switched on for a target that exists, the next run adds the column. With `deletes: off`, marks stay, and are
    taken off when the key comes back. With `deletes: hard`, the next search deletes marked rows, too."""
    world = memory_world
    world.tables[0] |= {"deletes": "off"} | ALWAYS
    world.sql(SOME.format(1, 4))
    run(world)
    assert "_PGSNOW_DELETED_AT" not in world.target().columns

    world.tables[0]["deletes"] = "soft"
    world.sql("delete from users where id < 4")
    report = run(world, full_refresh=True)
    assert f"added column _PGSNOW_DELETED_AT TIMESTAMP_TZ to {world.config.tables[0].target}" in " ".join(
        report.events
    ).replace("NONE.ANALYTICS.USERS", "analytics.users")
    assert held(world) == {1: ("v1", True), 2: ("v1", True), 3: ("v1", True), 4: ("v1", False)}

    world.tables[0]["deletes"] = "off"
    world.sql("insert into users (id, name) values (1, 'again'), (5, 'new')")
    run(world)
    world.sql("delete from users where id = 5")
    run(world, full_refresh=True)
    expected = {1: ("again", False), 2: ("v1", True), 3: ("v1", True), 4: ("v1", False)}
    assert held(world) == expected
    run(world, resync=True)
    assert held(world) == expected

    world.tables[0]["deletes"] = "hard"
    world.sql("insert into users (id, name) values (2, 'again')")
    report = run(world)
    assert "deleted 1 row that had been marked as deleted" in report.events
    assert held(world) == {1: ("again", False), 2: ("again", False), 4: ("v1", False)}
    world.assert_equal()


def test_another_key_leaves_rows_that_are_marked_already(memory_world: MemoryWorld) -> None:
    """When the key changes, the content is replaced. Marked rows stay; a row of the old key is not marked, because
    nothing says that it was deleted."""
    world = memory_world
    world.tables[0]["deletes"] = "soft"
    world.sql(
        "alter table users add tenant int not null default 1; alter table users add unique (id, tenant)"
    )
    world.sql(SOME.format(1, 3))
    run(world)
    world.sql("delete from users where id = 1")
    run(world, full_refresh=True)
    world.tables[0]["pk"] = ["id", "tenant"]
    world.sql("update users set tenant = 2, updated_at = now() where id = 2")
    run(world)
    assert held(world) == {1: ("v1", True), 2: ("v1", False), 3: ("v1", False)}


def test_a_keyless_table_cannot_keep_deleted_rows(memory_world: MemoryWorld) -> None:
    """Nothing tells which of its rows were deleted, so the table is refused before anything is loaded."""
    world = memory_world
    world.sql("create table log (n int, note text)")
    world.tables = [{"source": "public.log", "target": "analytics.log", "mode": "full", "deletes": "soft"}]
    with world.engine() as engine:
        report = engine.tick().tables[0]
    assert report.error is not None
    assert "deletes: soft needs a key that tells which rows were deleted" in report.error
    assert world.warehouse.created == []


def test_marks_whose_answer_was_lost_are_not_set_again(memory_world: MemoryWorld) -> None:
    """The statement is repeated and finds nothing more; the search stays due, and the next one is complete."""
    world = memory_world
    world.tables[0] |= {"deletes": "soft"} | ALWAYS
    world.sql(SOME.format(1, 5))
    run(world)
    world.sql("delete from users where id < 3")
    world.warehouse.fail("delete", TargetUnavailable("the answer was lost"), after=True)
    run(world)
    first = {row["ID"]: row["_PGSNOW_DELETED_AT"] for row in world.target().rows}
    assert {key for key, at in first.items() if at is not None} == {1, 2}
    pending = "select sweep ->> 'pending_since' is not null from sync_watermarks"
    assert world.sql(pending) == [(True,)]
    run(world)
    assert {row["ID"]: row["_PGSNOW_DELETED_AT"] for row in world.target().rows} == first
    assert world.sql(pending) == [(False,)]
    world.assert_equal()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "delete"]), st.integers(1, 6)),
        st.tuples(st.sampled_from(["tick", "full_refresh", "resync"]), st.just(0)),
    ),
    max_size=10,
)


@given(steps=STEPS)
@settings(max_examples=rounds(3), deadline=None, suppress_health_check=list(HealthCheck))
def test_marked_rows_are_those_that_were_deleted(
    memory_world: MemoryWorld, steps: list[tuple[str, int]]
) -> None:
    """Whatever was written, deleted and inserted again, and whenever everything was read: rows without a mark are those
    of the source, and marked ones have the last values that were loaded of rows that are gone."""
    world = memory_world
    world.tables[0] |= {"deletes": "soft"} | ALWAYS
    world.sql("truncate users")
    before = held(world) if world.warehouse.tables else {}
    loaded = {key: name for key, (name, _) in before.items()}

    def load(**options: Any) -> None:
        run(world, confirm_deletes=True, **options)
        rows = dict(world.sql("select id, name from users"))
        loaded.update(rows)
        assert held(world) == {key: (name, key not in rows) for key, name in loaded.items()}

    for at, (step, key) in enumerate([*steps, ("tick", 0)]):
        match step:
            case "write":
                world.sql(
                    f"insert into users (id, name) values ({key}, 'v{at}') on conflict (id)"
                    " do update set name = excluded.name, updated_at = now()"
                )
            case "delete":
                world.sql(f"delete from users where id = {key}")
            case "tick":
                load()
            case option:
                load(**{option: True})
