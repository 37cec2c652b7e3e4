"""A first load goes by COPY straight into its target: every row once, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.snowflake.sql import direct_copy as straight_sql
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.world import World

SOME = "insert into users select g, 'user ' || g, g * 1.25, jsonb_build_object('n', g) from generate_series({}, {}) g"
LOST = TargetUnavailable("the reply was lost")


@pytest.fixture
def users(world: World) -> World:
    """To be loaded in three units of a hundred rows."""
    world.tables[0] |= {"max_rows_per_load": 100, "batch_size": 100}
    world.sql(SOME.format(1, 300))
    return world


def tick(world: World, observer: Callable[[Event], None] = ignore) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick().tables[0]


def sent(world: World, text: str, target: str = "") -> int:
    """How many statements with this text, and this target, went to this test's own database."""
    mine = f'"{world.settings.snowflake.database}"'
    return sum(mine in statement and target in statement for statement in world.emulator.statements(text))


def beside(world: World, more: dict[str, dict[str, object]]) -> list[str]:
    """More tables with the rows of users, each with its settings (None: without it); the names of all tables."""
    for name, settings in more.items():
        world.sql(f"create table {name} (like users including all); insert into {name} select * from users")
        entry = world.tables[0] | {"source": f"public.{name}", "target": f"analytics.{name}"} | settings
        world.tables.append({key: value for key, value in entry.items() if value is not None})
    return ["users", *more]


def assert_good(world: World, report: TableReport) -> None:
    assert report.status is Status.OK
    world.assert_equal()
    assert world.snowflake("SELECT COUNT(*), COUNT(DISTINCT ID) FROM ANALYTICS.USERS") == [(300, 300)]
    assert world.leftovers() == []


def test_a_first_load_needs_neither_staging_tables_nor_merges(users: World) -> None:
    report = tick(users)
    assert (report.rows_inserted, report.load_units) == (300, 3)
    assert_good(users, report)
    assert (sent(users, "COPY INTO"), sent(users, "MERGE INTO"), sent(users, "TRANSIENT")) == (3, 0, 0)
    users.sql("update users set name = 'changed', updated_at = now() where id in (3, 5)")
    assert tick(users).rows_updated == 2
    assert sent(users, "MERGE INTO") == 1
    users.assert_equal()


def orders_beside(users: World) -> None:
    """A second table of the same schema, whose target is still missing when the first one is loaded."""
    beside(users, {"orders": {"max_rows_per_load": 1000, "batch_size": 1000}})


def test_the_first_files_go_up_while_the_target_is_created(users: World) -> None:
    """They go up once: the batch's own PUT sends none of them again."""
    orders_beside(users)
    with users.engine() as engine:
        assert engine.tick(["public.users"]).tables[0].status is Status.OK
        report = engine.tick(["public.orders"]).tables[0]
    assert (report.status, report.rows_inserted) == (Status.OK, 300)
    assert [sent(users, text, "ORDERS") for text in ("CREATE TABLE", "COPY INTO")] == [1, 1]
    assert sent(users, "PUT", "orders/") == 1
    users.assert_equal()


def test_a_stage_that_was_dropped_meanwhile_is_created_again(users: World) -> None:
    """The files that could not go up while the target was created go up afterwards."""
    orders_beside(users)
    with users.engine() as engine:
        assert engine.tick(["public.users"]).tables[0].status is Status.OK
        users.snowflake("DROP STAGE ANALYTICS.PGSNOW_STAGE")
        assert engine.tick(["public.orders"]).tables[0].status is Status.OK
    users.assert_equal()
    assert users.leftovers() == []


def test_files_that_went_up_for_a_target_that_cannot_be_created_are_removed(users: World) -> None:
    """A view has its name: the run fails, and the next one removes the files before it loads anything."""
    orders_beside(users)
    with users.engine() as engine:
        assert engine.tick(["public.users"]).tables[0].status is Status.OK
        users.snowflake("CREATE VIEW ANALYTICS.ORDERS AS SELECT 1 AS ONE")
        failed = engine.tick(["public.orders"]).tables[0]
        assert failed.status is Status.ERROR
        assert "ANALYTICS.ORDERS" in str(failed.error)
        users.snowflake("DROP VIEW ANALYTICS.ORDERS")
        assert engine.tick(["public.orders"]).tables[0].status is Status.OK
    users.assert_equal()
    assert users.leftovers() == []


def test_a_target_that_has_rows_is_merged_into(users: World) -> None:
    """It may have been filled by hand, or by a first load that was broken off."""
    failed = tick(users, RaiseAt("copied", RuntimeError("broken off"), nth=2))
    assert failed.status is Status.ERROR
    assert_good(users, tick(users))
    assert sent(users, "MERGE INTO") == 3


def test_a_copy_whose_answer_was_lost_is_found_and_not_done_again(users: World) -> None:
    """The first, one in the middle, and the last: of a table each."""
    names = beside(users, {"second": {}, "third": {}})
    lost = [RaiseAt("copied", LOST, nth=at, table=f"public.{name}") for at, name in enumerate(names, 1)]

    def observe(event: Event) -> None:
        for one in lost:
            one(event)

    with users.engine(observe) as engine:
        assert {report.status for report in engine.tick().tables} == {Status.OK}
    assert [one.fired for one in lost] == [True] * 3
    users.assert_equal()
    assert users.leftovers() == []
    for name in names:
        target = f'"{name.upper()}"'
        copies, looks = sent(users, "COPY INTO", target), sent(users, 'WHERE "_PGSNOW_FENCE" =', target)
        assert (copies, looks) == (3, 1), name
        both = f"SELECT COUNT(*), COUNT(DISTINCT ID) FROM ANALYTICS.{name}"
        assert users.snowflake(both) == [(300, 300)]


def test_a_copy_that_never_came_through_is_done_again(users: World) -> None:
    report = tick(users, RaiseAt("put", LOST, nth=2))
    assert_good(users, report)
    assert (sent(users, "COPY INTO"), sent(users, "MERGE INTO")) == (3, 0)


def test_a_run_that_lost_the_table_while_it_uploaded_copies_nothing(users: World) -> None:
    def lose_it() -> None:
        users.sql("update sync_watermarks set fence = fence + 1")

    report = tick(users, AtPhase("put", lose_it))
    assert (report.status, report.error_type) == (Status.LOCKED, "LeaseLost")
    assert users.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS") == [(0,)]
    assert_good(users, tick(users))


def test_a_copy_whose_files_are_gone_loads_nothing_and_is_not_taken_for_done(users: World) -> None:
    """The run that takes a table over removes what the one before has staged, before it looks at the target: whatever
    that one still copies then finds nothing, and the ledger refuses it another try. Here the run still holds it."""
    gone = AtPhase("put", lambda: users.snowflake("REMOVE @ANALYTICS.PGSNOW_STAGE/"), nth=2)
    report = tick(users, gone)
    assert gone.fired
    assert_good(users, report)
    assert (sent(users, "COPY INTO"), sent(users, "MERGE INTO")) == (4, 0)


def test_rows_that_are_there_twice_are_found_at_the_end(users: World) -> None:
    """A statement of an earlier run that was still under way, say."""
    double = AtPhase(
        "copied", lambda: users.snowflake("INSERT INTO ANALYTICS.USERS SELECT * FROM ANALYTICS.USERS"), nth=2
    )
    report = tick(users, double)
    assert_good(users, report)
    assert "removed 200 duplicates" in " ".join(report.events)


def test_what_copy_refuses_is_merged(users: World, monkeypatch: pytest.MonkeyPatch) -> None:
    values = straight_sql.parquet_values
    monkeypatch.setattr(
        straight_sql, "parquet_values", lambda output: [(n, f"SOUNDEX({v})") for n, v in values(output)]
    )
    report = tick(users)
    assert_good(users, report)
    assert sent(users, "MERGE INTO") == 3
    assert "public.users/" in report.events[-1]
    assert "COPY statement only supports simple SELECT" in report.events[-1]


MERGED: dict[str, dict[str, object]] = {
    "transformed": {"transform": {"function": "tests.unit.sync.transform_examples:same"}},
    "inserted": {"load": "insert"},
    "resumable": {"late_rows": "off"},
    "appended": {"mode": "append", "pk": None, "watermark_column": None},
}


def test_tables_whose_rows_may_share_a_key_or_whose_load_can_be_gone_on_with_are_merged(
    users: World,
) -> None:
    users.sql("delete from users where id > 10")
    beside(users, MERGED)
    del users.tables[0]
    with users.engine() as engine:
        assert [report.error for report in engine.tick().tables] == [None] * len(MERGED)
    assert {name: sent(users, "MERGE INTO", f'"{name.upper()}"') for name in MERGED} == dict.fromkeys(
        MERGED, 1
    )


def test_the_emulator_refuses_what_copy_may_not_select(world: World, emulator: EmbeddedSnowflake) -> None:
    tick(world)
    statement = "COPY INTO ANALYTICS.USERS (ID) FROM (SELECT {} FROM @ANALYTICS.PGSNOW_STAGE/a/1-0/ {})"
    for select, more in (("SOUNDEX($1:ID)", ""), ("$1:ID", "WHERE $1:ID > 1"), ("COUNT(*)", "")):
        with pytest.raises(Exception, match="only supports simple SELECT"):
            world.snowflake(statement.format(select, more) + " FILE_FORMAT=(TYPE=PARQUET)")


def test_a_copy_of_an_earlier_backfill_that_comes_late_leaves_no_key_twice(world: World) -> None:
    """Its worker had the files and its lease when another backfill took the place of its own, and Snowflake was slow.
    The chunks before it went straight into an empty target; those after it find rows that are older."""
    world.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    world.sql(SOME.format(1, 1000))
    columns = "ID, NAME, BALANCE, PROFILE, UPDATED_AT"
    again = f"SELECT {columns}, 1 FROM ANALYTICS.USERS WHERE ID <= 100"
    late = AtPhase(
        "copied",
        lambda: world.snowflake(f'INSERT INTO ANALYTICS.USERS ({columns}, "_PGSNOW_FENCE") {again}'),
    )
    report = tick(world, late)
    assert late.fired
    assert report.status is Status.OK
    assert sent(world, "MERGE INTO") > 0
    assert world.snowflake("SELECT COUNT(*), COUNT(DISTINCT ID) FROM ANALYTICS.USERS") == [(1000, 1000)]
    world.assert_equal()
    assert "removed 100 late rows" in " ".join(report.events)
    assert tick(world).status is Status.IDLE


def test_a_copy_of_a_first_load_that_was_broken_off_and_comes_late_leaves_no_key_twice(users: World) -> None:
    """Snowflake finishes a statement whose client was killed. The next run has merged the same rows by then."""
    failed = tick(users, RaiseAt("copied", RuntimeError("killed"), nth=1))
    assert failed.status is Status.ERROR
    columns = "ID, NAME, BALANCE, PROFILE, UPDATED_AT"
    again = f"SELECT {columns}, 1 FROM ANALYTICS.USERS WHERE ID BETWEEN 101 AND 200"
    late = AtPhase(
        "merged",
        lambda: users.snowflake(f'INSERT INTO ANALYTICS.USERS ({columns}, "_PGSNOW_FENCE") {again}'),
        nth=3,
    )
    report = tick(users, late)
    assert late.fired
    assert "removed 100 late rows" in " ".join(report.events)
    assert_good(users, report)
