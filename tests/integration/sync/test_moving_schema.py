"""A table that is altered, emptied or replaced at any moment of its own run: nothing is lost, no other table minds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pgsnow.model.report import Status, SyncReport
from pgsnow.sync.runtime.events import Event
from pgsnow.sync.tick import tick
from tests.progress import CEILING
from tests.world import USERS_TABLE, MemoryWorld, World

EVENTS = ("read", "page", "written", "put", "copied", "merged", "checkpointed")
"""Our lock is held at each of these. When the run has started, it is not yet."""
FIRST = {"merged": "copied"}
"""A first load merges nothing."""
MAKE = """create table {t} (
    id bigint primary key, v text, extra int, gone int, num int, updated_at timestamptz not null default now())"""
FILL = "insert into {t} (id, v) select g, 'v' || g from generate_series({first}, {last}) g"
CHANGES = {
    "add": "alter table {t} add if not exists more int",
    "drop": "alter table {t} drop gone",
    "rename": "alter table {t} rename extra to other",
    "rewrite": "alter table {t} alter num type bigint using coalesce(num, 0)",
    "replace": f"drop table {{t}}; {MAKE}; {FILL.format(t='{t}', first=50, last=80)}",
    "refill": f"truncate {{t}}; {FILL.format(t='{t}', first=50, last=80)}",
}
NAMES = list(CHANGES)
SOME = [
    *(("started", change) for change in CHANGES),
    *((at, NAMES[n % len(NAMES)]) for n, at in enumerate(EVENTS)),
]
EVERY = [(at, change) for at in ("started", *EVENTS) for change in CHANGES]


class Altering:
    """An observer: each table's change comes at its event, from a session of its own that may have to wait for ours."""

    def __init__(self, dsn: str, changes: dict[str, tuple[str, str]]) -> None:
        self._dsn = dsn
        self._changes = dict(changes)
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def __call__(self, event: Event) -> None:
        at, change = self._changes.get(event.table, ("", ""))
        if event.phase != at:
            return
        del self._changes[event.table]
        connection = psycopg.connect(self._dsn)
        pid = connection.info.backend_pid
        thread = threading.Thread(target=self._alter, args=(connection, change))
        self._threads.append(thread)
        thread.start()
        with psycopg.connect(self._dsn, autocommit=True) as watch:
            while thread.is_alive() and not _waits(watch, pid):
                time.sleep(0.005)

    def _alter(self, connection: psycopg.Connection[Any], change: str) -> None:
        try:
            with connection:
                connection.execute(change.encode())
        except BaseException as error:
            self.errors.append(error)

    def done(self) -> None:
        for thread in self._threads:
            thread.join(CEILING)
        assert not self._changes, f"these did not come: {self._changes}"
        assert not self.errors


def _waits(watch: psycopg.Connection[Any], pid: int) -> bool:
    row = watch.execute("select true from pg_locks where pid = %s and not granted", [pid]).fetchone()
    return row is not None


@pytest.mark.parametrize(
    "cases", [pytest.param(SOME, id="some"), pytest.param(EVERY, id="every", marks=pytest.mark.stress)]
)
def test_altered_at_every_moment_of_a_run(memory_world: MemoryWorld, cases: list[tuple[str, str]]) -> None:
    """Every change of a first read and, the one after it, of an incremental read; a tick later both ends are equal,
    but for what a TRUNCATE took: deleted rows stay."""
    world = memory_world
    changes = {f"{at}_{change}": (at, NAMES.index(change)) for at, change in cases}
    world.tables = [
        {**USERS_TABLE, "source": f"public.{name}", "target": f"analytics.{name}", "load": "stage"}
        for name in changes
    ]
    world.options = {"parallel_tables": 8, "defaults": {"deletes": "off"}}
    for name in changes:
        world.sql(MAKE.format(t=name))
        world.sql(FILL.format(t=name, first=1, last=20))
    for turn in range(2):
        now = {
            name: (at if turn else FIRST.get(at, at), NAMES[(first + turn) % len(NAMES)])
            for name, (at, first) in changes.items()
        }
        alter_under_way(world, now)
        for name in changes:
            world.sql(FILL.format(t=name, first=100 * (turn + 1), last=100 * (turn + 1) + 3))
    with world.engine() as engine:
        assert failures(engine.tick()) == {}
    truncated = {NAMES.index("refill") - turn for turn in range(2)}
    for table, differences in world.differences().items():
        _, first = changes[table.removeprefix("public.")]
        kinds = {difference.kind for difference in differences}
        assert kinds <= ({"extra"} if first in truncated else set()), (table, differences)


def test_a_table_dropped_under_way_is_told_and_the_others_go_on(memory_world: MemoryWorld) -> None:
    """Before it is read, it is missing at once; while it is read, the drop waits and it is missing at the next tick."""
    world = memory_world
    world.sql("insert into users values (1)")
    for name in ("before_it", "while_it"):
        world.sql(MAKE.format(t=name) + "; " + FILL.format(t=name, first=1, last=20))
        world.tables.append({**USERS_TABLE, "source": name, "target": f"analytics.{name}"})
    dropped = {"before_it": "started", "while_it": "page"}
    altering = Altering(
        world.env["POSTGRES_DSN"],
        {f"public.{name}": (at, f"drop table {name}") for name, at in dropped.items()},
    )
    with world.engine(altering) as engine:
        users, before_it, while_it = engine.tick().tables
        altering.done()
        assert (users.status, before_it.error_type, while_it.rows_inserted) == (
            Status.OK, "SourceTableMissing", 20,
        )  # fmt: skip
        world.sql("insert into users values (2)")
        users, before_it, while_it = engine.tick().tables
        assert (users.rows_inserted, before_it.error_type, while_it.error_type) == (
            1, "SourceTableMissing", "SourceTableMissing",
        )  # fmt: skip
    assert len(world.target("analytics.while_it").rows) == 20


def alter_under_way(world: World, changes: dict[str, tuple[str, str]]) -> None:
    """One tick, and in it each table's change at its event."""
    planned = {
        f"public.{name}": (at, CHANGES[change].format(t=name)) for name, (at, change) in changes.items()
    }
    altering = Altering(world.env["POSTGRES_DSN"], planned)
    with world.engine(altering) as engine:
        report = engine.tick()
    altering.done()
    assert failures(report) == {}
    # the description and the fingerprint that the read compares are of one snapshot, so even a table that was altered
    # after the tick had taken the fingerprints of all tables is planned once
    assert not [t.table for t in report.tables if any("planned again" in event for event in t.events)]


def failures(report: SyncReport) -> dict[str, str | None]:
    return {t.table: t.error for t in report.tables if t.error}


MOODY = """
create type mood as enum ('ok');
create table moody (id int primary key, m mood, updated_at timestamptz default now());
create function waits() returns bool language plpgsql as $$
begin
    perform pg_advisory_xact_lock(1);
    return true;
end $$;
"""


@contextmanager
def altered_in_every_probe(dsn: str) -> Iterator[None]:
    """Each statement that calls waits() waits until the type of its table has got one more label."""
    done = threading.Event()

    def alter() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            pid, labels = connection.info.backend_pid, 0
            while not done.is_set():
                connection.execute("select pg_advisory_lock(1)")
                while not done.is_set() and not _is_waited_for(connection, pid):
                    time.sleep(0.005)
                labels += 1
                connection.execute(f"alter type mood add value '{labels}'".encode())
                connection.execute("select pg_advisory_unlock(1)")

    thread = threading.Thread(target=alter)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(CEILING)


def _is_waited_for(connection: psycopg.Connection[Any], pid: int) -> bool:
    waiting = (
        "select exists (select from pg_locks"
        " where locktype = 'advisory' and not granted and %s = any(pg_blocking_pids(pid)))"
    )
    return connection.execute(waiting, [pid]).fetchone() == (True,)


def test_a_table_that_is_altered_again_and_again_is_given_up_until_the_next_tick(
    memory_world: MemoryWorld,
) -> None:
    """Whenever it is probed, its type gets another label before it is read. The other table is not affected."""
    world = memory_world
    world.sql(MOODY)
    world.tables.append(
        {**USERS_TABLE, "source": "public.moody", "target": "analytics.moody", "where": "waits()"}
    )
    with world.engine() as engine:
        assert failures(engine.tick()) == {}
        world.sql("insert into moody values (1); insert into users values (1)")
        with altered_in_every_probe(world.env["POSTGRES_DSN"]):
            users, moody = engine.tick().tables
        assert (users.status, users.rows_read) == (Status.OK, 1)
        assert (moody.status, moody.error_type, moody.transient) == (Status.ERROR, "SchemaMoved", True)
        assert len([e for e in moody.events if "planned again" in e]) == tick.PLANS_A_TICK - 1
