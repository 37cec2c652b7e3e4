"""`load_every`: each tick stages what changed, few ticks load it, and nothing is lost on the way."""

from __future__ import annotations

import re
from typing import Any

import boto3
import pytest

from pgsnow.model.report import TableReport
from pgsnow.testing.faults import RaiseAt
from tests.world import MemoryWorld, World

NEEDS_A_WAREHOUSE = re.compile(
    r"\s*(copy|merge|insert|select|update|delete|with|call|execute)\b", re.IGNORECASE
)
LONG_AGO = "to_jsonb(clock_timestamp() - interval '50 days')"


class Journal:
    """What Snowflake was asked from now on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._logins = world.emulator.connections()
        self._before = world.emulator.noted()

    @property
    def statements(self) -> list[str]:
        return self._world.emulator.statements_since(self._before)

    @property
    def needing_a_warehouse(self) -> list[str]:
        return [text for text in self.statements if NEEDS_A_WAREHOUSE.match(text)]

    @property
    def logins(self) -> int:
        return self._world.emulator.connections() - self._logins


@pytest.fixture(params=["stage", "s3"])
def deferring(request: pytest.FixtureRequest, world: World) -> World:
    """Users whose first load is done; what changes from now on is not due while the test runs."""
    if request.param == "s3":
        world.through(request.getfixturevalue("s3_env"))
    return begun(world, request.param)


@pytest.fixture
def staging(world: World) -> World:
    """The same, through Snowflake's own stage."""
    return begun(world, "stage")


def begun(world: World, load: str) -> World:
    world.tables[0] |= {"load": load, "load_every": "50d"}
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
        (row,) = engine.ledger.run_log.watermarks()
    return row.staged_rows


def fifty_days_go_by(world: World) -> None:
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
    """Busy ticks put files (through a bucket nothing is sent to Snowflake), idle ones do nothing; verify says how many
    rows wait; the load is one MERGE, and the newest version of each row wins. Through a staging table (a bucket without
    a stage), the MERGE changes fewer rows than it is given, because several versions of a row wait: it is asked whether
    rows of later runs refused any."""
    journal = Journal(deferring)
    for name in ("first", "second", "third"):
        change(deferring, name)
        report = tick(deferring)
        assert (report.rows_read, report.rows_processed) == (10, 0)
        assert tick(deferring).status == "idle"
    assert journal.needing_a_warehouse == []
    assert journal.logins == 0, "the session of the first load is used"
    assert bool(journal.statements) == (deferring.settings.s3 is None)
    [verdict] = deferring.verdicts()
    assert (verdict.equal, verdict.staged) == (False, 30)

    fifty_days_go_by(deferring)
    journal = Journal(deferring)
    report = tick(deferring)
    assert (report.status, report.rows_updated, report.load_units) == ("ok", 10, 1)
    kinds = [text.split()[0].upper() for text in journal.needing_a_warehouse]
    by_table = ["COPY", "COPY", "COPY", "MERGE", "SELECT"]
    assert kinds == (by_table if deferring.settings.s3 else ["MERGE"])
    assert (names(deferring), staged_rows(deferring)) == (["third"], 0)
    deferring.assert_equal()
    assert deferring.leftovers() == []


@pytest.mark.parametrize(
    "deferring", ["stage", pytest.param("s3", marks=pytest.mark.thorough)], indirect=True
)
def test_files_that_are_gone_are_read_again(deferring: World) -> None:
    """Of all that waited, also of the batch whose files are still there."""
    change(deferring, "lost")
    tick(deferring)
    lose_what_waits(deferring)
    change(deferring, "not lost", "id between 11 and 20")
    tick(deferring)
    fifty_days_go_by(deferring)
    report = tick(deferring)
    assert report.rows_updated == 20
    assert any("20 staged rows of 2 batches are read again" in event for event in report.events)
    deferring.assert_equal()
    assert deferring.leftovers() == []


def test_rows_that_are_gone_from_the_target_are_noticed_by_the_load(staging: World) -> None:
    """A person deletes rows while others wait, and the process has looked at the target a moment ago: the load fails,
    and everything is read again."""
    change(staging, "waiting")
    tick(staging)
    staging.snowflake("delete from analytics.users where id > 90")
    assert "has 90 rows, but had 100" in (load(staging).full_read or "")
    staging.assert_equal()


def test_another_target_leaves_no_files_behind(staging: World) -> None:
    """What waits for the former target is in the stage of its schema: it is listed there, to be removed later."""
    change(staging, "waiting")
    tick(staging)
    staging.tables[0] |= {"target": "elsewhere.users"}
    load(staging)
    staging.assert_equal()
    left = [name.split("/")[2] for name, *_ in staging.snowflake("list @analytics.pgsnow_stage")]
    waiting = staging.sql("select batch from sync_loaded_files where location like '%ANALYTICS%'")
    assert {f"public.users/{number}" for number in left} == {batch for (batch,) in waiting}


def test_another_way_of_loading_leaves_no_staging_table(world: World, s3_env: dict[str, str]) -> None:
    """What waits in the bucket is loaded through a staging table, and then, in the same run, what is new straight from
    a stage."""
    world.through(s3_env)
    begun(world, "s3")
    change(world, "waiting")
    tick(world)
    world.tables[0] |= {"load": "stage", "load_every": 0}
    change(world, "new", "id <= 20")
    assert tick(world).load_units == 2
    world.assert_equal()
    assert world.leftovers() == []


def test_a_target_that_was_altered_by_hand_gets_what_waited(staging: World) -> None:
    """Its stage dropped, a column dropped, and the table itself."""
    staging.snowflake("drop stage analytics.pgsnow_stage")
    change(staging, "waits")
    tick(staging)
    staging.snowflake("alter table analytics.users drop column balance")
    report = load(staging)
    assert any("read again" in event for event in report.events), report.events
    assert names(staging) == ["waits"]
    change(staging, "waits longer")
    tick(staging)
    staging.snowflake("drop table analytics.users")
    assert load(staging).rows_inserted == 100
    staging.assert_equal()
    assert staging.leftovers() == []


def test_crashes_between_staging_and_loading_lose_and_double_nothing(
    memory_world: MemoryWorld,
) -> None:
    """tests/faults kills processes that use Snowflake's stage."""
    world = memory_world
    begun(world, "stage")
    world.tables[0]["load_every"] = "1ms"
    for at, phase in enumerate(("put", "staged", "copied", "merged", "checkpointed")):
        change(
            world, "waits", f"id % 10 = {at}"
        )  # other rows each time: nothing later would hide what is lost
        tick(world)
        change(world, "newer", f"id % 20 = {at}")
        with pytest.raises(KeyboardInterrupt), world.engine(RaiseAt(phase, KeyboardInterrupt())) as engine:
            engine.tick()
        tick(world)
    world.assert_equal()
    assert world.leftovers() == []
