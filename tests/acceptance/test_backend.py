"""The backend as it runs in production: real workers and beats, a real broker, a real Postgres, the emulator."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.testing.proxy import FaultProxy
from tests.acceptance.backend_processes import Backend
from tests.world import USERS, World

_DATABASES = itertools.count(1)
CHECKINS = """
create table checkins (id bigint primary key, user_id bigint, last_modified timestamptz not null default now());
create index on checkins (last_modified);
"""
CHECKINS_TABLE = {
    "source": "public.checkins", "target": "analytics.checkins", "pk": "id", "watermark_column": "last_modified",
}  # fmt: skip

HOLD = """
import os, pathlib, time
HERE = pathlib.Path(__file__).parent

def hold(row):
    while (HERE / "hold").exists():
        (HERE / "held").write_text(str(os.getpid()))
        time.sleep(0.05)
    return row
"""

SLOW = """
import time
import pyarrow

def nap(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    time.sleep(0.5)
    return batch
"""
"""A batch takes its time without any work, so that a tick is under way for as long as a test needs it to be."""


@pytest.fixture
def backend(
    database: str,
    snowflake_env: dict[str, str],
    emulator: EmbeddedSnowflake,
    broker: EmbeddedBroker,
    tmp_path: Path,
) -> Iterator[Backend]:
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.sql(USERS)
    url = f"{broker.url.rsplit('/', 1)[0]}/{next(_DATABASES) % 16}"
    redis.Redis.from_url(url).flushdb()
    with Backend(world, url) as backend:
        yield backend
    world.close()


def insert(world: World, first: int, last: int) -> None:
    world.sql(f"insert into users (id, name) select n, 'u' || n from generate_series({first}, {last}) n")


def inserted(world: World) -> dict[str, int]:
    """Rows that were inserted so far, by table, as runs that have ended tell."""
    return dict(world.sql("select source_table, sum(rows_inserted)::int from sync_logs group by 1"))


def test_beat_fires_and_rows_arrive_and_so_do_their_changes_also_when_a_pool_process_is_killed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed in the middle of a tick costs nothing. No session is left behind in Postgres by a pool
    that has closed."""
    world = backend.world
    monkeypatch.syspath_prepend(world.folder)
    world.options = {"sync_interval_seconds": 2}
    (world.folder / "transforms_of_test.py").write_text(HOLD)
    world.tables[0]["transform"] = "transforms_of_test:hold"
    insert(world, 1, 500)
    worker = backend.worker()
    backend.beat()
    backend.until(lambda: backend.target_count() == 500)
    world.sql("update users set name = 'changed', updated_at = now() where id % 10 = 0")
    insert(world, 501, 510)
    changed = 'SELECT count(*) FROM "ANALYTICS"."USERS" WHERE "NAME" = \'changed\''
    backend.until(lambda: world.snowflake(changed)[0][0] == 50 and backend.target_count() == 510)
    world.assert_equal()
    first = next(tick for tick in worker.events("tick") if tick["rows_processed"])
    assert first["sync_success_count"] == 1
    assert first["sync_failure_count"] == 0
    assert first["last_sync_duration_seconds"] > 0
    assert first["rows_processed"] == {"public.users": 500}
    (world.folder / "hold").touch()
    insert(world, 511, 710)
    held = world.folder / "held"
    backend.until(held.exists)
    os.kill(int(held.read_text()), signal.SIGKILL)
    (world.folder / "hold").unlink()
    backend.until(lambda: backend.target_count() == 710)
    world.assert_equal()
    backend.until(lambda: world.leftovers() == [])
    worker.terminate()
    assert worker.wait() == 0
    sessions = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend'"
    )
    backend.until(lambda: world.sql(sessions)[0][0] == 0)


def test_two_workers_and_two_beats_run_every_table_once_a_tick(backend: Backend) -> None:
    """While rows keep coming: no table runs twice at once or twice in one interval, and none is lost or doubled."""
    world, interval = backend.world, 2.0
    world.options = {"sync_interval_seconds": interval}
    world.sql(CHECKINS)
    world.tables.append(CHECKINS_TABLE)
    for _ in range(2):
        backend.worker()
    stop = threading.Event()
    written = Counter[str]()
    backend.beat().say("Sending due task")
    stop.wait(interval / 2)  # the beats are out of step, so the second would double every tick
    backend.beat()

    def write() -> None:
        with psycopg.connect(world.env["POSTGRES_DSN"], autocommit=True) as conn:
            while not stop.wait(0.05):
                written["users"] += 1
                conn.execute("insert into users (id, name) values (%s, 'x')", [written["users"]])
                if written["users"] % 3 == 0:
                    written["checkins"] += 1
                    conn.execute("insert into checkins (id, user_id) values (%s, 1)", [written["checkins"]])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backend.until(lambda: len(backend.runs()) >= 16)
    finally:
        stop.set()
        writer.join()
    backend.until(lambda: inserted(world) == {f"public.{table}": count for table, count in written.items()})

    by_table = defaultdict(list)
    for run in backend.runs():
        assert run.status in ("ok", "idle"), run
        by_table[run.table].append(run)
    assert set(by_table) == {"public.users", "public.checkins"}
    for runs in by_table.values():
        for earlier, later in itertools.pairwise(runs):
            assert later.start >= earlier.end, "two runs at once"
            assert later.granted - earlier.granted >= 0.79 * interval, "two runs in one tick"
    world.assert_equal()


@pytest.mark.parametrize("pool", ["prefork", pytest.param("threads", marks=pytest.mark.thorough)])
def test_a_worker_that_is_asked_to_leave_ends_after_the_load_unit_under_way(
    backend: Backend, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM during a tick of 200 load units: the worker ends long before they do, and another process goes on."""
    world = backend.world
    monkeypatch.syspath_prepend(world.folder)
    (world.folder / "slow_of_test.py").write_text(SLOW)
    world.tables[0] |= {"batch_size": 10, "max_rows_per_load": 10, "transform": "slow_of_test:nap"}
    insert(world, 1, 2000)
    worker = backend.worker(pool=pool)
    backend.send()
    backend.until(lambda: backend.target_count() > 0)
    worker.terminate()
    assert worker.wait() == 0, worker.output
    assert [run.status for run in backend.runs()] == ["stopped"]
    assert 0 < backend.target_count() < 2000

    world.tables[0] |= {"batch_size": 1000, "max_rows_per_load": 100_000}
    with world.engine() as engine:
        assert not engine.tick().failures
    world.assert_equal()
    backend.until(lambda: world.leftovers() == [])


def test_an_outage_of_the_ledger_passes_and_a_tick_over_its_time_limit_is_stopped(backend: Backend) -> None:
    """A transient failure is tried again by Celery, without waiting for the next beat. The soft limit is the tick's
    own: the same pool process runs the next tick."""
    world = backend.world
    world.options = {"sync_interval_seconds": 2, "task_time_limit_seconds": 12}
    (world.folder / "slow_of_test.py").write_text(SLOW)
    world.tables[0] |= {"batch_size": 10, "max_rows_per_load": 10, "transform": "slow_of_test:nap"}
    insert(world, 1, 20)
    dsn = urlsplit(world.env["POSTGRES_DSN"])
    assert dsn.port
    with FaultProxy(dsn.port) as proxy:
        proxy.behave(refuse=True)
        world.env["LEDGER_DSN"] = dsn._replace(netloc=f"postgres@127.0.0.1:{proxy.port}").geturl()
        worker = backend.worker("-c", "1")
        backend.send()
        worker.say("is tried again")
        proxy.heal()
        backend.until(lambda: backend.target_count() == 20)
        backend.until(lambda: [run.status for run in backend.runs()] == ["ok"])

        insert(world, 21, 2020)
        backend.send()
        worker.say("tick stopped at its time limit")
        backend.until(lambda: [run.status for run in backend.runs()] == ["ok", "stopped"])
        world.sql("delete from users where id > 40")
        backend.send()
        backend.until(lambda: [run.status for run in backend.runs()] == ["ok", "stopped", "ok"])
        assert worker.output.count("ForkPoolWorker-2") == 0, "the pool process lives on"


def test_missing_settings_are_told_when_the_worker_starts_and_the_rest_of_it_works(backend: Backend) -> None:
    del backend.world.env["SNOWFLAKE_DATABASE"]
    worker = backend.worker()
    worker.say("the sync cannot run before its settings are right")
    assert "SNOWFLAKE_DATABASE" in worker.output
    backend.send()
    worker.say("tick failed")
    assert "is tried again" not in worker.output, "a person must put it right"
    worker.terminate()
    assert worker.wait() == 0


def test_a_wrong_table_list_is_told_with_every_problem_and_the_worker_starts(backend: Backend) -> None:
    """The rest of the application works; ticks fail with the same problems until the list is right."""
    del backend.world.tables[0]["target"]
    backend.world.tables[0]["watermark_colum"] = "x"
    worker = backend.worker()
    assert "sync_config.yaml" in worker.output
    assert "tables[0].target" in worker.output
    assert "watermark_colum" in worker.output
    worker.terminate()
    assert worker.wait() == 0
