"""`live_view`: a view shows staged rows before they are loaded."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.examples import rounds
from tests.integration.sync.test_deferred import Journal, change, fifty_days_go_by, load, staged_rows, tick
from tests.world import World

CHANGES = st.one_of(
    st.tuples(
        st.just("insert into users values ({0}, 'n', {1}) on conflict do nothing"), *[st.integers(1, 40)] * 2
    ),
    st.tuples(
        st.just("update users set name = 'u{1}', updated_at = now() where id = {0}"),
        *[st.integers(1, 40)] * 2,
    ),
    st.tuples(st.just("delete from users where id = {0}"), *[st.integers(1, 40)] * 2),
    st.tuples(
        st.just(
            "update users set id = {1}, updated_at = now() where id = {0} and {1} not in (select id from users)"
        ),
        *[st.integers(1, 40)] * 2,
    ),
)
KILLS = ("put", "merged", "compared", "deleted", "swept")
LAST = (
    ([("insert into users values (41) on conflict (id) do update set updated_at = now()", 0, 0)], "stage"),
    ([("delete from users where id = (select min(id) from users)", 0, 0)], "load"),
)
"""Steps at the end: rows have waited, so the load is followed by a search for deleted rows."""
TICKS = st.sampled_from(("stage", "stage", "load", "restart", *KILLS))
STEPS = st.lists(st.tuples(st.lists(CHANGES, min_size=1, max_size=5), TICKS), min_size=2, max_size=4)


@pytest.fixture
def live(world: World) -> World:
    """Users with a live view, whose first load is done; later changes are not due while the test runs."""
    world.tables[0] |= {"load_every": "50d", "live_view": True, "deletes": "hard", "sweep_every": 0}
    world.sql("insert into users select g, 'n' || g, g, '{\"a\": [1]}' from generate_series(1, 20) g")
    assert "created view" in " ".join(tick(world).events)
    return world


def shown(world: World) -> dict[int, str]:
    return dict(world.snowflake("select id, name from analytics.users_live"))


def in_source(world: World) -> dict[int, str]:
    return dict(world.sql("select id, name from users"))


def test_staged_rows_are_shown_and_only_loads_send_a_statement_for_it(live: World) -> None:
    """Ticks that stage rows send the upload alone; the view is replaced once after a load. Files of loaded rows stay
    for an hour, and their rows are shown once. With a new column, rows without it are loaded first, so no row is shown
    without a value that the source has. A deleted row leaves target and view, though its files stay."""
    journal = Journal(live)
    change(live, "staged")
    live.sql("insert into users values (21, 'new', 21.5, '{\"b\": null}')")
    tick(live)
    assert [text.split()[0] for text in journal.statements] == ["PUT"]
    assert (staged_rows(live), shown(live)) == (11, in_source(live))
    change(live, "staged later", "id <= 3")
    tick(live)
    assert shown(live) == in_source(live)
    fifty_days_go_by(live)
    journal = Journal(live)
    tick(live)
    assert [text.split()[0] for text in journal.statements] == ["MERGE", "CREATE"]
    assert shown(live) == in_source(live)
    assert live.snowflake("select count(*), count(distinct id) from analytics.users_live") == [(21, 21)]
    in_stage = "select count(*) from sync_loaded_files where not_before > now() + interval '59 minutes'"
    assert live.sql(in_stage) == [(3,)]

    change(live, "before")
    tick(live)
    live.sql("alter table users add column city text")
    live.sql("update users set city = 'Paris', updated_at = now() where id <= 2")
    tick(live)
    in_paris = "select id from analytics.users_live where city = 'Paris' order by id"
    assert live.snowflake(in_paris) == [(1,), (2,)]
    live.sql("alter table users rename column city to town")
    live.sql("update users set town = 'Rome', updated_at = now() where id <= 2")
    towns: list[tuple[Any, ...]] = []
    in_town = "select town from analytics.users_live where id = 1"
    with live.engine(AtPhase("read", lambda: towns.extend(live.snowflake(in_town)))) as engine:
        assert engine.tick().tables[0].ok
    assert towns == [("Paris",)]  # the view does not fail while the run reads
    assert live.snowflake("select town from analytics.users_live where id = 1") == [("Rome",)]
    assert shown(live) == in_source(live)

    live.tables[0] |= {"sweep_every": "1ms", "sweep_share": "100%"}
    live.sql("insert into users values (22, 'staged')")
    tick(live)
    live.sql("delete from users where id in (1, 22)")
    assert load(live).rows_deleted == 2
    assert shown(live) == in_source(live)
    live.assert_equal()


def test_at_any_tick_the_view_is_the_source(world: World) -> None:
    """Rows are inserted, changed, deleted and get other keys; ticks stage or load them, in new processes too, or are
    killed. After each tick the view has each row of the source once and as it is there; a key that is gone is shown as
    long as the target has it: until rows are loaded that waited since an earlier tick. While nothing is staged, the
    view is the target, also if files of loaded rows stay."""
    world.tables[0] |= {"load_every": "50d", "live_view": True, "deletes": "soft", "sweep_every": "1ms"}
    world.tables[0] |= {"sweep_share": "100%", "max_delete_share": 1, "audit_every": 0}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 20) g")
    tick(world)
    columns = "id, name, balance"
    everything = f"{columns}, profile, updated_at, _pgsnow_fence, _pgsnow_run_id, _pgsnow_deleted_at"

    def rows_of(table: str) -> list[tuple[Any, ...]]:
        return world.snowflake(f"select {everything} from analytics.{table} order by id")

    @settings(
        max_examples=rounds(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(STEPS)
    def run(steps: list[tuple[list[tuple[str, int, int]], str]]) -> None:
        before = None
        for changes, how in [*steps, *LAST]:
            for text, *values in changes:
                world.sql(text.format(*values))
            if how == "restart":
                world.close_engine()
            if how in KILLS:
                with suppress(KeyboardInterrupt), world.engine(RaiseAt(how, KeyboardInterrupt())) as engine:
                    engine.tick(load=True)
            waited = world.sql("select 1 from sync_watermarks where staged is not null")
            (load if how == "load" else tick)(world)
            view, expected = rows_of("users_live"), world.sql(f"select {columns} from users")
            rows = [row[:3] for row in view if row[-1] is None]
            found = {row[0]: row for row in rows}
            assert len(rows) == len(found)
            assert {row[0]: found.get(row[0]) for row in expected} == {row[0]: row for row in expected}
            gone = found.keys() - {row[0] for row in expected}
            assert before is None or gone <= before
            assert not (gone and waited and how == "load")
            before = set(found)
            if world.sql("select 1 from sync_watermarks where staged is null"):
                assert view == rows_of("users")

    run()


def test_a_view_of_a_person_is_never_replaced_and_ours_is_dropped_when_it_is_not_wanted(live: World) -> None:
    """While a person's view has the name, loads go on and report it. Without `live_view`, the next run drops the view
    of pgsnow, and nothing else."""
    live.close_engine()
    live.snowflake("drop view analytics.users_live")
    live.snowflake("create view analytics.users_live as select 1 as mine")
    change(live, "first")
    assert "USERS_LIVE exists already" in str(load(live).events)
    live.assert_equal()
    live.tables[0] |= {"live_view": False}
    change(live, "second")
    load(live)
    assert live.snowflake("select * from analytics.users_live") == [(1,)]
    live.snowflake("drop view analytics.users_live")
    live.tables[0] |= {"live_view": True}
    change(live, "third")
    tick(live)
    assert shown(live) == in_source(live)
    live.tables[0] |= {"live_view": False}
    change(live, "fourth")
    assert any("dropped view" in event for event in load(live).events)
    assert live.snowflake("show objects like 'USERS_LIVE' in schema analytics") == []


def test_files_in_a_bucket_are_shown_through_its_stage(world: World, request: pytest.FixtureRequest) -> None:
    """Their paths begin with the prefix of the bucket; no tick that stages rows logs in for the view."""
    world.through(request.getfixturevalue("s3_env") | {"S3_STAGE": "LAKE"})
    bucket = world.settings.s3
    assert bucket is not None
    world.snowflake(f"create stage lake url='{bucket.url}'")
    world.tables[0] |= {"load_every": "50d", "live_view": True, "load": "s3"}
    world.sql("insert into users select g, 'n' || g from generate_series(1, 10) g")
    tick(world)
    change(world, "staged", "id <= 5")
    journal = Journal(world)
    tick(world)
    assert (journal.statements, staged_rows(world)) == ([], 5)
    assert shown(world) == in_source(world)
