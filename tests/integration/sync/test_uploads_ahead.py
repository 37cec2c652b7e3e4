"""Finished part files go up while the rest of their unit is read, and whatever fails on the way costs no row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from pgsnow.model.errors import TargetMissing, TargetUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.postgres.convert import convert as arrival
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.faults import AtPhase, RaiseAt
from pgsnow.testing.proxy import FaultProxy
from tests.progress import CEILING, PAUSE
from tests.small_parts import ROWS, make_parts_small, restore
from tests.world import World

SOME = "insert into users select g, 'user ' || g, g * 1.25, jsonb_build_object('n', g) from generate_series({}, {}) g"
PARTS = 8


@pytest.fixture(autouse=True)
def _small_parts() -> Iterator[None]:
    before = make_parts_small()
    yield
    restore(before)


@pytest.fixture(params=["stage", pytest.param("s3", marks=pytest.mark.thorough)])
def users(request: pytest.FixtureRequest, world: World) -> World:
    """To be loaded in one unit of eight files."""
    if request.param == "s3":
        world.through(request.getfixturevalue("s3_env"))
    return filled(world, request.param)


@pytest.fixture
def staged(world: World) -> World:
    """The same through Snowflake's own stage alone."""
    return filled(world, "stage")


def filled(world: World, load: str, parts: int = PARTS) -> World:
    world.tables[0]["load"] = load
    world.sql(SOME.format(1, parts * ROWS))
    return world


def tick(world: World, observer: Callable[[Event], None] = ignore, **options: Any) -> TableReport:
    with world.engine(observer) as engine:
        return engine.tick(**options).tables[0]


def files(world: World) -> list[str]:
    """Part files that are there now, wherever this world puts them."""
    if world.settings.s3 is None:
        try:
            return [str(row[0]) for row in world.snowflake("LIST @ANALYTICS.PGSNOW_STAGE")]
        except TargetMissing:
            return []
    client, s3 = store(world), world.settings.s3
    return [found["Key"] for found in client.list_objects_v2(Bucket=s3.bucket).get("Contents", ())]


def store(world: World) -> Any:
    """Somebody else's look at the bucket."""
    return boto3.client(
        "s3",
        endpoint_url=world.env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class OnceUp:
    """At a page: waits until this many files are there, which are all that were sent, then acts. The reading stands
    still meanwhile."""

    def __init__(self, world: World, files: int, act: Callable[[], object] = lambda: None) -> None:
        self._world, self._files = world, files
        self._at = AtPhase("page", self._wait, nth=files + 1)
        self._act = act
        self.seen: list[str] = []

    def __call__(self, event: Event) -> None:
        self._at(event)

    def _wait(self) -> None:
        until = time.monotonic() + CEILING
        while len(self.seen) < self._files and time.monotonic() < until:
            self.seen = files(self._world)
            time.sleep(PAUSE)
        self._act()

    @property
    def fired(self) -> bool:
        return len(self.seen) >= self._files


def copied(world: World) -> int:
    mine = f'"{world.settings.snowflake.database}"'
    return sum(mine in statement for statement in world.emulator.statements("COPY INTO"))


def puts(world: World) -> list[str]:
    """Names of the files, in order."""
    mine = f'"{world.settings.snowflake.database}"'
    return [s.split("'")[1].rpartition("/")[2] for s in world.emulator.statements("PUT '") if mine in s]


def assert_good(world: World, report: TableReport) -> None:
    assert report.status is Status.OK, report.error
    world.assert_equal()
    assert world.snowflake("SELECT COUNT(*), COUNT(DISTINCT ID) FROM ANALYTICS.USERS") == [(400, 400)]
    assert world.leftovers() == []


def fail(error: Exception) -> None:
    raise error


def test_a_file_is_up_before_the_next_are_read_and_each_goes_up_once(users: World) -> None:
    up = OnceUp(users, 3)
    users.snowflake("SELECT 1")  # the test's own login
    logins = users.emulator.connections()
    events: list[str] = []

    def observe(event: Event) -> None:
        up(event)
        events.append(event.phase)

    report = tick(users, observe)
    assert up.fired
    assert (report.load_units, events.count("page"), events.count("written"), copied(users)) == (
        1,
        PARTS,
        1,
        1,
    )
    if users.settings.s3 is None:
        assert puts(users) == [f"part-{n:04d}.parquet" for n in range(PARTS)]
        assert users.emulator.connections() - logins == 1, "uploads use the run's own session"
    assert_good(users, report)


WAYS: dict[str, dict[str, object]] = {
    "whole": {"mode": "full", "watermark_column": None},
    "append": {"mode": "append", "pk": None, "watermark_column": None},
    "units": {"max_rows_per_load": 100},
    "keyset": {"late_rows": "off"},
    "chunks": {"max_mb_per_chunk": 0.01, "load": "s3"},
}


def test_every_way_of_loading_takes_files_that_are_up_already(world: World, s3_env: dict[str, str]) -> None:
    """Whole contents, several units, a merge, chunks; and then a merge of what changed. Chunks through a bucket: the
    other ways take its files as they take those of the stage."""
    users = filled(world, "stage", parts=4)
    users.through(s3_env)
    for name in WAYS:
        users.sql(f"create table {name} (like users including all)")
        users.sql(f"insert into {name} select * from users")
    entries = {
        name: users.tables[0] | {"source": f"public.{name}", "target": f"analytics.{name}"} | more
        for name, more in WAYS.items()
    }
    users.tables = [{k: v for k, v in entry.items() if v is not None} for entry in entries.values()]
    with users.engine() as engine:
        assert [report.error for report in engine.tick().tables] == [None] * len(WAYS)
        users.assert_equal()
        for name in WAYS:
            users.sql(f"update {name} set name = 'x', updated_at = now()")
        assert [report.error for report in engine.tick().tables] == [None] * len(WAYS)
        users.assert_equal()
    assert users.leftovers() == []


def test_what_waits_in_the_stage_takes_files_that_are_up_already(staged: World) -> None:
    staged.tables[0]["load_every"] = "1h"
    tick(staged)
    staged.sql("update users set name = 'x', updated_at = now()")
    up, before = OnceUp(staged, 2), set(files(staged))  # those of the first load wait to be removed
    assert tick(staged, up).status is Status.OK
    assert up.fired
    assert len(set(files(staged)) - before) == PARTS
    assert_good(staged, tick(staged, load=True))


def test_a_resync_beside_the_target_takes_them_too(staged: World) -> None:
    tick(staged)
    staged.tables[0]["max_mb_per_chunk"] = 0.02
    staged.snowflake("UPDATE ANALYTICS.USERS SET BALANCE = 3")
    with staged.engine() as engine:
        report = engine.tick(resync=True).tables[0]
    assert_good(staged, report)


def test_reading_that_fails_while_files_are_up_leaves_nothing_behind(users: World) -> None:
    broken = OnceUp(users, 3, lambda: fail(RuntimeError("broken off")))
    report = tick(users, broken)
    assert (report.status, broken.fired, copied(users)) == (Status.ERROR, True, 0)
    assert_good(users, tick(users))


def test_reading_that_fails_waits_for_the_upload_that_is_under_way(staged: World) -> None:
    """A file that arrived after the next run's sweep would stay for ever."""
    with FaultProxy(staged.emulator.port) as proxy:
        proxy.behave(hold_replies=b"part-0001")
        staged.through({"SNOWFLAKE_PORT": str(proxy.port)})

        def broken() -> None:
            assert proxy.wait_until_holding(CEILING)
            threading.Timer(0.3, proxy.heal).start()
            raise RuntimeError("broken off")

        report = tick(staged, AtPhase("page", broken, nth=4))
        assert (report.status, copied(staged)) == (Status.ERROR, 0)
        assert not [t for t in threading.enumerate() if t.name.startswith("pgsnow-upload")]
        proxy.heal()
        assert_good(staged, tick(staged))


def test_an_upload_that_loses_its_connection_is_done_again(users: World) -> None:
    """Reading goes on meanwhile; the unit's own PUT takes what is not there, with its tries."""
    port = int(users.env["S3_ENDPOINT_URL"].rpartition(":")[2]) if users.settings.s3 else users.emulator.port
    with FaultProxy(port) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        real = dict(users.env)
        users.through(
            {"S3_ENDPOINT_URL": through} if users.settings.s3 else {"SNOWFLAKE_PORT": str(proxy.port)}
        )
        pages = AtPhase("page", proxy.reset, nth=4)
        report = tick(users, pages)
        assert pages.fired
        assert report.status is Status.OK, report.error
        users.through(real)
    assert_good(users, report)


def test_an_upload_that_cannot_work_ends_the_unit_before_it_is_read(
    world: World, s3_env: dict[str, str]
) -> None:
    world.through(s3_env)
    users = filled(world, "s3")
    s3 = users.settings.s3
    assert s3 is not None

    def lose_the_bucket() -> None:
        for key in files(users):
            store(users).delete_object(Bucket=s3.bucket, Key=key)
        store(users).delete_bucket(Bucket=s3.bucket)

    losing = OnceUp(users, 1, lose_the_bucket)

    def slowly(event: Event) -> None:
        losing(event)
        if event.phase == "page" and losing.fired:
            time.sleep(0.2)

    report = tick(users, slowly)
    assert (report.status, report.error_type, copied(users)) == (Status.ERROR, "StagingRefused", 0)
    assert report.rows_read < PARTS * ROWS, "reading was not gone on with"
    store(users).create_bucket(Bucket=s3.bucket)
    assert_good(users, tick(users))


def test_a_stage_that_somebody_drops_meanwhile_is_made_again(staged: World) -> None:
    tick(staged)
    staged.sql("update users set name = 'x', updated_at = now()")
    dropping = OnceUp(staged, 2, lambda: staged.snowflake("DROP STAGE ANALYTICS.PGSNOW_STAGE"))
    report = tick(staged, dropping)
    assert dropping.fired
    assert_good(staged, report)


def test_files_that_are_gone_again_are_put_again_by_the_next_try(staged: World) -> None:
    """COPY finds fewer rows than were written, which the MERGE never sees."""
    tick(staged)
    staged.sql("update users set name = 'x', updated_at = now()")
    removing = OnceUp(staged, 2, lambda: staged.snowflake("REMOVE @ANALYTICS.PGSNOW_STAGE/"))
    report = tick(staged, removing)
    assert removing.fired
    assert puts(staged).count("part-0000.parquet") == 3, "the first tick, ahead, and again"
    assert_good(staged, report)


def test_a_run_that_lost_the_table_uploads_no_further_file(staged: World) -> None:
    losing = OnceUp(staged, 2, lambda: staged.sql("update sync_watermarks set fence = fence + 1"))
    report = tick(staged, losing)
    assert (report.status, report.error_type, copied(staged)) == (Status.LOCKED, "LeaseLost", 0)
    assert len(puts(staged)) < PARTS
    assert_good(staged, tick(staged))


def test_asked_to_stop_the_files_that_are_up_are_of_no_use(staged: World) -> None:
    engines: list[Engine] = []
    stopping = OnceUp(staged, 2, lambda: engines[0].stop())
    with staged.engine(stopping) as engine:
        engines.append(engine)
        assert engine.tick().tables[0].status is Status.STOPPED
    assert copied(staged) == 0
    assert_good(staged, tick(staged))


def test_what_is_inserted_is_never_uploaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when its first file is finished before it is known how few rows there are."""
    monkeypatch.setattr(arrival, "rows_of_page", lambda _: 1)
    world.tables[0]["load"] = "insert"
    world.sql(SOME.format(1, 12))
    world.sql("create table few (like users including all); insert into few select * from users limit 4")
    world.tables.append(world.tables[0] | {"source": "public.few", "target": "analytics.few", "load": "auto"})
    with world.engine() as engine:
        inserted = {report.table: report.rows_inserted for report in engine.tick().tables}
    assert (inserted, puts(world)) == ({"public.users": 12, "public.few": 4}, [])
    world.assert_equal()


def test_a_run_without_rows_does_not_connect(staged: World) -> None:
    tick(staged)
    logins = staged.emulator.connections()
    assert tick(staged).status is Status.IDLE
    assert staged.emulator.connections() == logins


def test_a_failure_after_the_uploads_is_tried_again_from_the_files(staged: World) -> None:
    report = tick(staged, RaiseAt("copied", TargetUnavailable("the reply was lost")))
    assert_good(staged, report)
