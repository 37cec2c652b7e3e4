"""`execution: distributed` with workers in processes of their own, a real broker, a real Postgres, the emulator.

The broker is Valkey; with the URL of a RabbitMQ in PGSNOW_TEST_AMQP_URL everything is done with that too. In `make
thorough`, the RabbitMQ of Debian's package is started where it is installed.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.acceptance.backend_processes import Backend, Process, Run
from tests.rabbitmq import PROGRAM, rabbitmq
from tests.world import World

_DATABASES = itertools.count(8)
AMQP_URL = os.environ.get("PGSNOW_TEST_AMQP_URL")
RABBITMQ = pytest.param("rabbitmq", marks=() if AMQP_URL else pytest.mark.thorough)
SMALL = [f"small_{n}" for n in range(9)]


@pytest.fixture(scope="session")
def amqp_url(servers_dir: Path) -> Iterator[str]:
    if AMQP_URL:
        yield AMQP_URL
        return
    with rabbitmq(servers_dir / "rabbitmq") as url:
        yield url


@pytest.fixture(params=["valkey", *([RABBITMQ] if AMQP_URL or PROGRAM.exists() else [])])
def broker_url(request: pytest.FixtureRequest) -> str:
    """A broker without messages."""
    if request.param == "rabbitmq":
        url = str(request.getfixturevalue("amqp_url"))
        with Celery(broker=url) as client:
            client.control.purge()
        return url
    broker: EmbeddedBroker = request.getfixturevalue("broker")
    url = f"{broker.url.rsplit('/', 1)[0]}/{next(_DATABASES) % 16}"
    redis.Redis.from_url(url).flushdb()
    return url


@pytest.fixture
def backend(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, broker_url: str, tmp_path: Path
) -> Iterator[Backend]:
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.options = {"execution": "distributed", "sync_interval_seconds": 60}
    world.tables = []
    with Backend(world, broker_url) as backend:
        yield backend
    world.close()


def add_table(world: World, name: str, rows: int, **options: object) -> None:
    world.sql(
        f"create table {name} (id bigint primary key, t text, updated_at timestamptz not null default now());"
        f"create index on {name} (updated_at);"
        f"insert into {name} select n, repeat('x', 100) from generate_series(1, {rows}) n"
    )
    world.tables.append(
        {
            "source": f"public.{name}",
            "target": f"analytics.{name}",
            "watermark_column": "updated_at",
            **options,
        }
    )


HOLD = """
import os, pathlib, time
HERE = pathlib.Path(__file__).parent

def hold(row):
    while row["id"] == 7000 and (HERE / "hold").exists():
        if not (HERE / "held").exists():
            (HERE / "writing").write_text(str(os.getpid()))
            (HERE / "writing").rename(HERE / "held")
        time.sleep(0.05)
    return row
"""


def start_workers(backend: Backend, count: int, pool: str = "solo") -> list[Process]:
    """In processes of their own, that put no message by."""
    workers = [
        backend.worker("-c", "1", "--prefetch-multiplier", "1", pool=pool, ready=False) for _ in range(count)
    ]
    for worker in workers:
        worker.say("ready.")
    return workers


def taken(workers: list[Process], event: str = "table taken") -> list[set[str]]:
    """The tables of which each worker took something."""
    return [{line["table"] for line in worker.events(event)} for worker in workers]


def assert_one_at_a_time(runs: list[Run]) -> None:
    by_table = defaultdict(list)
    for run in runs:
        by_table[run.table].append(run)
    for ran in by_table.values():
        for earlier, later in itertools.pairwise(sorted(ran, key=lambda run: run.start)):
            assert later.start >= earlier.end, (earlier, later)


def chunks_of(world: World) -> list[tuple[str, int]]:
    """State and attempts of each chunk of the one backfill."""
    return [(state, tries) for state, tries in world.sql("select state, attempts from sync_chunks")]


def test_three_workers_share_the_work_and_one_that_is_killed_costs_one_chunk(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table's chunk is held up: the small tables are done meanwhile, and so is every other chunk. Then the
    worker that has it is killed, and the next tick finds out."""
    world = backend.world
    (world.folder / "transforms_of_test.py").write_text(HOLD)
    (world.folder / "hold").touch()
    hold = {"transform": "transforms_of_test:hold", "max_mb_per_chunk": 0.25, "max_parallel_chunks": 3}
    add_table(world, "large", 12_000, **hold)
    for name in SMALL:
        add_table(world, name, 20)
    workers = start_workers(backend, 3)
    backend.send()
    held = world.folder / "held"
    backend.until(held.exists)
    backend.until(
        lambda: {run.table for run in backend.runs() if run.status == "ok"} == {f"public.{n}" for n in SMALL}
    )
    backend.until(lambda: [state for state, _ in chunks_of(world)].count("open") == 1)
    assert len(chunks_of(world)) >= 5
    os.kill(int(held.read_text()), signal.SIGKILL)
    (world.folder / "hold").unlink()
    backend.send()
    backend.until(
        lambda: [run.status for run in backend.runs() if run.table == "public.large"][-1:] == ["ok"]
    )
    assert sorted(tries for _, tries in chunks_of(world)) == [*[1] * (len(chunks_of(world)) - 1), 2]
    assert_one_at_a_time(backend.runs())
    assert len([tables for tables in taken(workers) if tables & {f"public.{n}" for n in SMALL}]) >= 2
    assert len([tables for tables in taken(workers, "chunk taken") if tables]) >= 2
    world.assert_equal()
    backend.until(lambda: world.leftovers() == [])


@pytest.mark.stress
@pytest.mark.parametrize("broker_url", ["valkey", *(["rabbitmq"] if AMQP_URL else [])], indirect=True)
def test_workers_that_are_killed_again_and_again_cost_a_chunk_each(backend: Backend) -> None:
    """Under beat and while rows are written: a worker is killed every few seconds, and another takes its place."""
    world, kills, pause = backend.world, int(os.environ.get("PGSNOW_SCALE_KILLS", "8")), threading.Event()
    rows = int(os.environ.get("PGSNOW_SCALE_ROWS", "200000"))
    world.options["sync_interval_seconds"] = 5
    add_table(world, "large", rows, max_mb_per_chunk=1, max_parallel_chunks=3)
    for name in SMALL:
        add_table(world, name, 20)
    workers = start_workers(backend, 4, "prefork")
    backend.beat()
    dice = random.Random("scale")
    for kill in range(kills):
        pause.wait(dice.uniform(3, 6))
        world.sql(f"update large set t = 'changed', updated_at = now() where id % {rows} = {kill}")
        world.sql(f"insert into small_0 values ({1000 + kill})")
        workers.pop(dice.randrange(4)).end()
        workers.append(backend.worker("-c", "1", "--prefetch-multiplier", "1", ready=False))
    backend.until(
        lambda: (
            world.sql(
                "select last_success, backfill from sync_watermarks where source_table = 'public.large'"
            )[0][0]
            is not None
        )
    )
    written = world.sql("select max(updated_at) from large")[0][0]
    backend.until(
        lambda: (
            world.sql(f"select count(*) from sync_watermarks where last_success > '{written}'")[0][0]
            == 1 + len(SMALL)
        )
    )
    assert {state for state, _ in chunks_of(world)} == {"done"}
    assert sum(tries - 1 for _, tries in chunks_of(world)) <= kills
    assert_one_at_a_time(backend.runs())
    world.assert_equal()
