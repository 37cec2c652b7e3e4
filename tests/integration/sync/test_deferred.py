"""`load_every`: each tick stages what changed, few ticks load it, and nothing is lost on the way."""

from __future__ import annotations

import re
from typing import Any

import boto3
import pytest

from pgsnow.model.report import TableReport
from tests.world import World

NEEDS_A_WAREHOUSE = re.compile(r"\s*(copy|merge|insert|select|update|delete|with|call|execute)\b", re.IGNORECASE)
LONG_AGO = "to_jsonb(clock_timestamp() - interval '1 hour')"


class Journal:
    """What Snowflake was asked from now on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._logins = world.emulator.stats()["logins"]
        self._before = max((s["number"] for s in world.emulator.stats()["statements"]), default=0)

    @property
    def statements(self) -> list[str]:
        told = self._world.emulator.stats()["statements"]
        return [str(s["text"]) for s in told if s["number"] > self._before]

    @property
    def needing_a_warehouse(self) -> list[str]:
        return [text for text in self.statements if NEEDS_A_WAREHOUSE.match(text)]

    @property
    def logins(self) -> int:
        return int(self._world.emulator.stats()["logins"] - self._logins)


@pytest.fixture(params=["stage", "s3"])
def deferring(request: pytest.FixtureRequest, world: World) -> World:
    """Users whose first load is done; what changes from now on is loaded every hour."""
    if request.param == "s3":
        world.through(request.getfixturevalue("s3_env"))
    return begun(world, request.param)


@pytest.fixture
def staging(world: World) -> World:
    """The same, through Snowflake's own stage."""
    return begun(world, "stage")


def begun(world: World, load: str) -> World:
    world.tables[0] |= {"load": load, "load_every": "1h"}
    world.sql("insert into users select g, 'n' || g, g, '{\"a\": [1]}' from generate_series(1, 100) g")
    assert tick(world).rows_inserted == 100
    return world


def tick(world: World, **options: Any) -> TableReport:
    with world.engine(**options) as engine:
        (table,) = engine.tick().tables
    assert table.ok, table.error
    return table


def load(world: World) -> TableReport:
    with world.engine() as engine:
        (table,) = engine.tick(load=True).tables
    assert table.ok, table.error
    return table


def change(world: World, name: str, ids: str = "id <= 10") -> None:
    world.sql(f"update users set name = '{name}', updated_at = now() where {ids}")


def staged_rows(world: World) -> int:
    with world.engine() as engine:
        (row,) = engine.ledger.watermarks()
    return row.staged_rows


def an_hour_goes_by(world: World) -> None:
    """For what waits, as far as the ledger knows."""
    world.sql(f"update sync_watermarks set staged = jsonb_set(staged, '{{0,staged_at}}', {LONG_AGO})")


def names(world: World) -> list[str]:
    return [row[0] for row in world.snowflake("select distinct name from analytics.users where id <= 10")]


def lose_what_waits(world: World) -> None:
    """As a lifecycle rule or a tidy person would."""
    if world.settings.s3 is None:
        world.snowflake("remove @analytics.pgsnow_stage/public.users/")
        return
    client = boto3.client(
        "s3", endpoint_url=world.env["S3_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    for found in client.list_objects_v2(Bucket=world.settings.s3.bucket)["Contents"]:
        client.delete_object(Bucket=world.settings.s3.bucket, Key=found["Key"])


def test_between_two_loads_nothing_is_sent_that_needs_a_warehouse(deferring: World) -> None:
    """Busy ticks put files (through a bucket Snowflake is not even logged in to), idle ones do nothing; the load is one
    MERGE, and the newest version of each row wins."""
    journal = Journal(deferring)
    for name in ("first", "second", "third"):
        change(deferring, name)
        report = tick(deferring)
        assert (report.rows_read, report.rows_processed) == (10, 0)
        assert tick(deferring).status == "idle"
    assert journal.needing_a_warehouse == []
    assert journal.logins == (0 if deferring.settings.s3 else 3)
    assert (names(deferring), staged_rows(deferring)) != (["third"], 0)
    assert staged_rows(deferring) == 30

    an_hour_goes_by(deferring)
    journal = Journal(deferring)
    report = tick(deferring)
    assert (report.status, report.rows_updated, report.load_units) == ("ok", 10, 1)
    kinds = [text.split()[0].upper() for text in journal.needing_a_warehouse]
    assert kinds == ["COPY", "COPY", "COPY", "MERGE"]
    assert (names(deferring), staged_rows(deferring)) == (["third"], 0)
    deferring.assert_equal()
    assert deferring.leftovers() == []


def test_a_due_tick_loads_what_has_just_changed_along_with_what_waited(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    an_hour_goes_by(staging)
    change(staging, "new")
    staging.sql("insert into users values (101, 'added', 1)")
    report = tick(staging)
    assert (report.rows_read, report.rows_updated, report.rows_inserted) == (11, 10, 1)
    staging.assert_equal()


@pytest.mark.parametrize("limit", [{"load_when_rows": 15}, {"load_when_mb": 0.004}, {"max_rows_per_load": 15}])
def test_enough_rows_do_not_wait_for_the_time(staging: World, limit: dict[str, Any]) -> None:
    staging.tables[0] |= limit
    change(staging, "first")
    assert tick(staging).rows_updated == 0
    change(staging, "second")
    assert tick(staging).rows_updated == 10
    staging.assert_equal()


def test_a_person_may_load_at_once(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    assert load(staging).rows_updated == 10
    journal = Journal(staging)
    assert load(staging).status == "idle"
    assert journal.statements == []
    staging.assert_equal()


def test_a_table_that_defers_no_more_is_caught_up(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.tables[0]["load_every"] = 0
    assert tick(staging).rows_updated == 10
    staging.assert_equal()
    assert staging.leftovers() == []


def test_files_that_are_gone_are_read_again(deferring: World) -> None:
    """Of all that waited, also of the batch whose files are still there."""
    change(deferring, "lost")
    tick(deferring)
    lose_what_waits(deferring)
    change(deferring, "not lost", "id between 11 and 20")
    tick(deferring)
    an_hour_goes_by(deferring)
    report = tick(deferring)
    assert report.rows_updated == 20
    assert any("20 staged rows of 2 batches are read again" in event for event in report.events)
    deferring.assert_equal()
    assert deferring.leftovers() == []


def test_rows_that_commit_late_are_staged_too(staging: World) -> None:
    """The window begins where the reading is, whatever has been loaded."""
    import psycopg

    with psycopg.connect(staging.env["POSTGRES_DSN"]) as slow:
        slow.execute("update users set name = 'late', updated_at = now() where id = 50")
        for name in ("first", "second"):
            change(staging, name)
            tick(staging)
        slow.commit()
    assert tick(staging).rows_read >= 1
    assert load(staging).rows_updated == 11
    staging.assert_equal()


def test_a_column_added_while_rows_wait_is_loaded_after_them(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.sql("alter table users add column mood text")
    staging.sql("update users set mood = 'good', updated_at = now() where id = 1")
    report = tick(staging)
    assert report.rows_updated == 11
    assert staged_rows(staging) == 0
    staging.assert_equal()
    change(staging, "later")
    assert tick(staging).rows_updated == 0
    load(staging)
    staging.assert_equal()


def test_a_column_dropped_while_rows_wait_keeps_what_they_brought(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.sql("alter table users drop column name")
    tick(staging)
    assert names(staging) == ["waits"]
    staging.assert_equal()


@pytest.mark.parametrize("ask", [{"full_refresh": True}, {"resync": True}])
def test_a_refresh_goes_over_what_waits_and_leaves_no_ghost(staging: World, ask: dict[str, bool]) -> None:
    change(staging, "waits")
    tick(staging)
    staging.sql("delete from users where id <= 5")
    with staging.engine() as engine:
        assert not engine.tick(**ask).failures
    assert staged_rows(staging) == 0
    staging.assert_equal()
    assert staging.leftovers() == []


def test_another_configuration_reads_everything_and_what_waited_is_given_up(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.tables[0] |= {"target": "analytics.people"}
    report = tick(staging)
    assert report.full_read is not None
    staging.assert_equal()
    assert staging.leftovers() == []


def test_a_target_that_is_dropped_while_rows_wait_is_filled_again(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.snowflake("drop table analytics.users")
    report = load(staging)
    assert report.rows_inserted == 100
    staging.assert_equal()
    assert staging.leftovers() == []


def test_a_target_that_cannot_take_what_waits_is_made_fit_and_read_for_again(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    staging.snowflake("alter table analytics.users drop column balance")
    report = load(staging)
    assert any("read again" in event for event in report.events), report.events
    assert names(staging) == ["waits"]


def test_a_stage_that_was_dropped_is_made_again(staging: World) -> None:
    staging.snowflake("drop stage analytics.pgsnow_stage")
    change(staging, "waits")
    tick(staging)
    assert load(staging).rows_updated == 10
    staging.assert_equal()


def test_a_replayed_row_is_not_overwritten_by_an_older_version_that_waited(staging: World) -> None:
    staging.tables[0]["transform"] = "tests.integration.sync.refusing:refuse_bad_names"
    tick(staging)
    change(staging, "fine", "id = 1")
    tick(staging)
    change(staging, "bad", "id = 1")
    assert tick(staging).rows_rejected == 1
    staging.sql("update users set name = 'mended' where id = 1")
    with staging.engine() as engine:
        (error,) = engine.ledger.errors()
        assert not engine.replay([error.id]).failures
    change(staging, "other", "id = 2")
    tick(staging)
    load(staging)
    staging.assert_equal()


def test_verify_says_how_many_rows_only_wait(staging: World) -> None:
    change(staging, "waits")
    tick(staging)
    [verdict] = staging.verdicts()
    assert (verdict.equal, verdict.staged) == (False, 10)


def test_several_loads_of_one_tick_apply_their_rows_in_order(staging: World) -> None:
    """A load is bounded by max_rows_per_load, as ever."""
    staging.tables[0] |= {"max_rows_per_load": 40, "batch_size": 20}
    change(staging, "all", "true")
    report = tick(staging)
    assert (report.rows_updated, report.load_units) == (100, 3)
    staging.assert_equal()
    assert staging.leftovers() == []
