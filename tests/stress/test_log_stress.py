"""Writers of every kind against tables with `mode: log`: `make stress`. PGSNOW_LOG_SECONDS makes it longer."""

from __future__ import annotations

import multiprocessing as mp
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.status.summary import status_of
from pgsnow.snowflake.session import connect
from pgsnow.sync.engine import Engine
from tests.progress import wait_until
from tests.stress import log_writers
from tests.world import World

SECONDS = float(os.environ.get("PGSNOW_LOG_SECONDS", "20"))
WRITERS = 8
SPAWN = mp.get_context("spawn")


def tick_forever(config: Mapping[str, Any], env: dict[str, str]) -> None:
    """A worker: one tick after another, until it is killed."""
    with Engine(parse_config(config, file="sync_config.yaml", env=env), Settings.from_env(env)) as engine:
        while True:
            engine.tick()


@contextmanager
def writing(dsn: str, seconds: float, *, ddl: bool) -> Iterator[float]:
    """Writers as processes, for so many seconds; yields when they end, by `time.monotonic`."""
    until = time.monotonic() + seconds
    started = [
        SPAWN.Process(target=log_writers.write, args=(dsn, number, until), daemon=True)
        for number in range(WRITERS)
    ]
    if ddl:
        started.append(SPAWN.Process(target=log_writers.alter, args=(dsn, 99, until), daemon=True))
    for process in started:
        process.start()
    try:
        yield until
    finally:
        for process in started:
            process.join()


@pytest.fixture
def log_world(world: World) -> Iterator[World]:
    """A world with the tables of the writers, all in one slot that streams transactions early."""
    for statement in log_writers.SCHEMA.split(";\n"):
        world.sql(statement)
    [(name,)] = world.sql("select current_database()")
    world.sql(f"alter database \"{name}\" set logical_decoding_work_mem = '64kB'")
    world.tables = log_tables()
    world.options |= {"log_publication": "pgsnow_stress"}
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def log_tables() -> list[dict[str, Any]]:
    """The entries of the writers' tables."""
    pks = {"l_note": ["a", "b"], "l_tree": ["id", "region"]}
    return [
        {"source": f"public.{table}", "target": f"analytics.{table}", "mode": "log", "pk": pks.get(table, "id"),
         "max_delete_share": 1, "deletes": "hard"}
        for table in log_writers.TABLES
    ]  # fmt: skip


def end_prepared(world: World) -> None:
    for (gid,) in world.sql("select gid from pg_prepared_xacts where database = current_database()"):
        world.sql(f"rollback prepared '{gid}'")


def assert_equal_or_told(world: World) -> None:
    """After ticks in which nobody requested a search for deleted rows, a table may have deleted rows that its status
    says are pending, and differs in nothing else."""
    with world.engine() as engine:
        status = status_of(world.config, engine.ledger, datetime.now(UTC))
    pending = {table["table"]: table["deletes_pending_since"] for table in status["tables"]}
    for table, found in world.differences().items():
        assert {difference.kind for difference in found} <= {"extra"}, f"{table}: {found[:5]}"
        assert not found or pending[table], (
            f"{table}: {len(found)} extra rows that no status tells: {found[:5]}"
        )
        if found:
            print(f"{table}: {len(found)} deleted rows are pending since {pending[table]}")


def settle(world: World, *, locked: bool = False) -> None:
    """Ticks until nothing is left to do; then source and target are equal. locked: workers were killed that may still
    have tables."""
    end_prepared(world)
    if locked:
        with world.engine() as engine:
            wait_until(
                lambda: not any(t.status == "locked" for t in engine.tick(requested=True).tables), "free"
            )
            for _ in range(8):  # a statement of a killed writer may still commit
                quiet = engine.tick(requested=True).tables
                if all(table.status == "idle" or table.without_log for table in quiet):
                    break
        assert [(table.table, table.error) for table in quiet if table.error] == []
        assert_equal_or_told(world)
    for _ in range(8):
        with world.engine() as engine:
            report = engine.tick(requested=True)
            if locked:
                # A search that failed is put off, for twenty times as long as it took.
                report = engine.tick(requested=True, confirm_deletes=True)
        assert [(t.table, t.error) for t in report.tables if t.error] == []
        if all(table.status == "idle" for table in report.tables):
            break
    world.assert_equal()


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.parametrize("ddl", [False, True], ids=["rows", "and-definitions"])
def test_no_change_of_any_kind_is_lost(log_world: World, ddl: bool) -> None:
    """Inserts, updates, deletes, key changes, TOAST, savepoints, aborts, streamed and prepared transactions, TRUNCATE,
    and definitions that change: 0 missing, stale, ghost or doubled rows."""
    world = log_world
    ticks = 0
    with writing(world.env["POSTGRES_DSN"], SECONDS, ddl=ddl) as until, world.engine() as engine:
        while time.monotonic() < until:
            report = engine.tick(requested=True)
            ticks += 1
            for table in report.tables:
                if table.error or table.events:
                    print(ticks, table.table, table.status, table.rows_processed, table.error, table.events)
    print(f"{ticks} ticks")
    settle(world)


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_workers_that_are_killed_lose_nothing(log_world: World) -> None:
    """Two workers at once, each killed again and again at any moment."""
    world, rnd = log_world, random.Random(7)
    config = {**world.options, "tables": world.tables}
    start = partial(SPAWN.Process, target=tick_forever, args=(config, world.env), daemon=True)
    with writing(world.env["POSTGRES_DSN"], SECONDS, ddl=False) as until:
        workers = [start(), start()]
        for worker in workers:
            worker.start()
        kills = 0
        while time.monotonic() < until:
            time.sleep(2 + 3 * rnd.random())
            at = rnd.randrange(2)
            workers[at].kill()
            workers[at].join()
            kills += 1
            workers[at] = start()
            workers[at].start()
        for worker in workers:
            worker.kill()
            worker.join()
    print(f"{kills} kills")
    settle(world)


def sums_and_orphans(dsn_env: Mapping[str, str], until: float, found: list[tuple[Any, Any]]) -> None:
    """Ask the target in one statement, again and again, for the sum of the accounts and for entries without one."""
    query = (
        "SELECT (SELECT COALESCE(SUM(AMOUNT), 0) FROM ANALYTICS.L_ACCOUNT), (SELECT COUNT(*) FROM ANALYTICS.L_ENTRY e"
        " WHERE NOT EXISTS (SELECT 1 FROM ANALYTICS.L_ACCOUNT a WHERE a.ID = e.ACCOUNT))"
    )
    with connect(Settings.from_env(dsn_env).snowflake, query_tag="reader") as session:
        while time.monotonic() < until:
            found.append(tuple(session.execute(query).rows[0]))


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_every_commit_of_a_consistent_tick_keeps_the_invariants(log_world: World) -> None:
    """With `consistency: tick`, a reader never sees accounts that do not add up to zero, or an entry without its
    account, whichever tick commits meanwhile."""
    world, seen = log_world, list[tuple[Any, Any]]()
    world.options["consistency"] = "tick"
    settle(world)
    with writing(world.env["POSTGRES_DSN"], SECONDS, ddl=False) as until, world.engine() as engine:
        reader = threading.Thread(target=sums_and_orphans, args=(world.env, until, seen))
        reader.start()
        while time.monotonic() < until:
            engine.tick(requested=True)
        reader.join()
    settle(world)
    ticks = world.snowflake("SELECT CONSISTENT, LEFT_OUT FROM ANALYTICS.PGSNOW_TICKS ORDER BY LSN_BYTES")
    print(f"{len(ticks)} ticks, {len(seen)} looks")
    assert len(ticks) > 1
    assert {(together, left) for together, left in ticks} == {(True, "{}")}
    assert [one for one in seen if (float(one[0]), int(one[1])) != (0.0, 0)] == []
