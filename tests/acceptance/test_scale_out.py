"""`execution: distributed` with workers in processes of their own, a real broker, a real Postgres, the emulator.

The broker is Valkey; with the URL of a RabbitMQ in PGSNOW_TEST_AMQP_URL everything is done with that too.
"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.acceptance.backend_processes import Backend
from tests.world import World

_DATABASES = itertools.count(8)
AMQP_URL = os.environ.get("PGSNOW_TEST_AMQP_URL")
SMALL = [f"small_{n}" for n in range(9)]


@pytest.fixture(params=["valkey", *(["rabbitmq"] if AMQP_URL else [])])
def broker_url(request: pytest.FixtureRequest) -> str:
    """A broker without messages."""
    if request.param == "rabbitmq":
        assert AMQP_URL
        with Celery(broker=AMQP_URL) as client:
            client.control.purge()
        return AMQP_URL
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


def test_four_workers_share_the_tables_and_each_is_run_by_one(backend: Backend) -> None:
    world = backend.world
    for name in SMALL:
        add_table(world, name, 50)
    workers = [backend.worker("--prefetch-multiplier", "1", pool="solo", ready=False) for _ in range(4)]
    for worker in workers:
        worker.say("ready.")
    backend.send()
    backend.until(lambda: {run.table for run in backend.runs()} == {f"public.{name}" for name in SMALL})
    taken = [{line["table"] for line in worker.events("table taken")} for worker in workers]
    assert sum(map(len, taken)) == len(SMALL)
    assert all(taken), "every worker had some"
    by_table = defaultdict(list)
    for run in backend.runs():
        by_table[run.table].append(run)
    assert all(len(runs) == 1 and runs[0].status == "ok" for runs in by_table.values())
    world.assert_equal()
