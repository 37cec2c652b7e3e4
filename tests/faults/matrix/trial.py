"""One world in which faults happen one after the other, and what must hold after each of them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event, ignore
from pgsnow.testing.proxy import FaultProxy
from tests.faults.matrix.loads import Load
from tests.forked import Forked, run_forked
from tests.progress import wait_until
from tests.world import World

REJECTED = "select * from users where balance is distinct from 'NaN'"
OPEN_BATCHES = "select open_batches from sync_watermarks where cardinality(open_batches) > 0"
OPEN_TRANSACTIONS = """
select pid, application_name, state, left(query, 200) from pg_stat_activity
where datname = current_database() and state like 'idle in transaction%'
"""
REPAIRS = 4
"""Ticks after which everything must be repaired; those that find the table locked by a dead session do not count."""


class Trial:
    """A world whose connections to Postgres, to Snowflake and to the bucket can each be made to fail.

    The oracle, the source's writers and the ledger's inspections use connections of their own, past the proxies."""

    def __init__(
        self,
        world: World,
        load: Load,
        postgres: FaultProxy,
        target: FaultProxy | None = None,
        bucket: FaultProxy | None = None,
    ) -> None:
        self.world, self.load = world, load
        self.postgres, self.target, self.bucket = postgres, target, bucket
        self.number = 0
        self._dsn = world.env["POSTGRES_DSN"]
        world.options |= load.options
        world.tables[0] |= load.entry
        if load.entry.get("watermark_column", 1) is None:
            del world.tables[0]["watermark_column"]
        if load.entry.get("pk", 1) is None:
            del world.tables[0]["pk"]
        for statement in load.set_up:
            world.sql(statement)
        world.sql(f"insert into users select g, 'n' || g, g from generate_series(1, {load.rows}) g")
        through = {"POSTGRES_DSN": self._dsn.replace(f":{urlsplit(self._dsn).port}/", f":{postgres.port}/")}
        if target is not None:
            through["SNOWFLAKE_PORT"] = str(target.port)
        if bucket is not None:
            through["S3_ENDPOINT_URL"] = f"http://127.0.0.1:{bucket.port}"
        world.through(through)
        for _ in range(2):
            self.repaired()
        self.change()
        self.repaired()

    def close(self) -> None:
        """End the world's engine, and drop its replication slot, which would keep the database."""
        self.world.close_engine()
        self.world.sql(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
        )

    def change(self) -> None:
        """Change the source as the load's definition says."""
        self.number += 1
        for statement in self.load.changes:
            self.world.sql(statement.format(n=self.number))
        if self.load.rejected:
            self.world.sql(
                "insert into users (id, name, balance) select max(id) + 1, 'bad', 'NaN' from users"
            )
        if self.load.drops:
            self.drop()

    def drop(self) -> None:
        drop = getattr(self.world, "drop", None)
        if drop is not None:
            drop()
        else:
            self.world.snowflake("DROP TABLE IF EXISTS ANALYTICS.USERS")

    def tick(self, observer: Callable[[Event], None] = ignore) -> list[TableReport] | PgsnowError:
        """One tick with the load's arguments: its reports, or the error that ended it."""
        with self.world.engine(observer) as engine:
            return self.tick_of(engine)

    def tick_of(self, engine: Engine) -> list[TableReport] | PgsnowError:
        try:
            return list(engine.tick(**{"requested": True, **self.load.tick}).tables)
        except PgsnowError as error:
            return error

    def worker(self) -> Forked:
        """A tick with the load's arguments in a process of its own."""
        arguments = [str(self.world.write_config()), json.dumps(dict(self.load.tick))]
        env = {**os.environ, **self.world.env}
        return run_forked("tests.faults.matrix.worker", arguments, env=env, cwd=Path(__file__).parents[3])

    def heal(self) -> None:
        for proxy in filter(None, (self.postgres, self.target, self.bucket)):
            proxy.heal()

    def checkpoint(self) -> Any:
        """What the ledger says was read, and what waits to be loaded."""
        return self.world.sql("select checkpoint, staged, loaded_checkpoint from sync_watermarks")

    def is_equal(self) -> bool:
        return all(not found for found in self.differences().values())

    def differences(self) -> dict[str, list[Any]]:
        expected = {"public.users": REJECTED} if self.load.rejected else {}
        return self.world.differences(expected=expected)

    def not_ahead(self, before: Any) -> None:
        """The checkpoint has moved only if what was read is in the target, or waits in the ledger."""
        after = self.checkpoint()
        if after == before or any(staged for _, staged, _ in after) or self.is_backfilled():
            return
        if any(now[0] not in (None, was[0]) for now, was in zip(after, before, strict=True)):
            kinds = {found.kind for each in self.differences().values() for found in each}
            bridged = (
                self.load.entry.get("mode") == "log"
            )  # read once without the log, with a search that follows
            swept = "sweep_every" in self.load.entry or self.load.drops
            allowed = {"extra"} if bridged or swept else set()
            assert kinds <= allowed, f"the checkpoint is ahead of the target: {kinds}"

    def is_backfilled(self) -> bool:
        """A backfill is under way: its checkpoint counts once it has ended."""
        return bool(self.world.sql("select 1 from sync_watermarks where backfill is not null"))

    def repaired(self) -> None:
        """Ordinary ticks make source and target equal, and leave nothing behind."""
        self.heal()
        for _ in range(REPAIRS):
            reports = self.unlocked_tick()
            failures = [(report.error_type, report.error) for report in reports if report.error]
            if failures or self.is_backfilled():
                continue
            if "load_every" in self.load.entry:
                with self.world.engine() as engine:
                    engine.tick(load=True)
            if self.is_equal() and self.world.sql(OPEN_BATCHES) == []:
                self.nothing_left()
                return
        raise AssertionError(f"not repaired after {REPAIRS} ticks: {failures or self.differences()}")

    def unlocked_tick(self) -> Sequence[TableReport]:
        """The reports of a plain tick; a dead session keeps its table until the server has noticed."""
        found: list[TableReport] = []

        def ran() -> bool:
            with self.world.engine() as engine:
                found[:] = engine.tick(requested=True).tables
            return all(report.status is not Status.LOCKED for report in found)

        wait_until(ran, "the table is free")
        return found

    def nothing_left(self) -> None:
        """No staged file, staging table, lease, transaction or doubled rejected row remains."""
        world = self.world
        left = world.leftovers()
        assert left == [], left
        for table in ("sync_watermarks", "sync_slots"):
            held = world.sql(
                f"select lease_holder, lease_run_id, lease_since from {table} where lease_holder is not null"
            )
            assert held == [], (table, held)
        wait_until(lambda: world.sql(OPEN_TRANSACTIONS) == [], "no transaction of ours is open")
        if self.load.rejected:
            rejected, known = world.sql(
                "select (select count(*) from users where balance = 'NaN'),"
                " (select count(*) from sync_errors where state = 'open')"
            )[0]
            assert rejected == known

    def overtaken(self) -> None:
        """The lease passes to another worker, as if the network of its holder had failed; that one runs the table."""
        self.world.sql(
            "update sync_watermarks set lease_expires = now() - interval '1 s', lease_session = null"
        )
        self.world.sql("update sync_slots set lease_expires = now() - interval '1 s', lease_session = null")
        with self.other_worker() as engine:
            self.tick_of(engine)

    @contextmanager
    def other_worker(self) -> Iterator[Engine]:
        """An engine whose connections do not go through the proxies."""
        world, kept = self.world, dict(self.world.env)
        past = {"POSTGRES_DSN": self._dsn}
        if self.target is not None:
            past["SNOWFLAKE_PORT"] = str(world.emulator.port)
        world.through(past)
        try:
            with world.new_engine() as engine:
                yield engine
        finally:
            world.through(kept)

    def tick_in_thread(
        self, observer: Callable[[Event], None] = ignore
    ) -> Callable[[], list[TableReport] | PgsnowError]:
        """Begin a tick; the returned function waits for its end."""
        ended: list[list[TableReport] | PgsnowError] = []
        thread = threading.Thread(target=lambda: ended.append(self.tick(observer)))
        thread.start()

        def wait() -> list[TableReport] | PgsnowError:
            thread.join()
            return ended[0]

        return wait
