"""The two ways to sync in the stress with deletes: an engine with a target in memory, and processes that are killed."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from psycopg.sql import SQL, Composable, Literal

from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake
from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.plan import TablePlan
from pgsnow.model.report import SyncReport
from pgsnow.postgres.read.snapshot import Snapshot
from pgsnow.sync.compare.sides import SourceSide
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.events import Event
from pgsnow.sync.table.deletes import search
from pgsnow.testing.destination import Call, MemoryTable, MemoryWarehouse
from pgsnow.testing.warehouse import POINTS
from tests.faults.kill_rounds import tick as start_tick
from tests.stress.delete_tables import BY_NAME, KINDS
from tests.stress.delete_witness import Key, Rows
from tests.world import MemoryWorld, World

FAULTS = 0.15
"""Share of ticks in which something fails."""
FAILING = ("copy", "insert", "merge", "prepare", "delete", "prune")
LONGEST_LIFE = 3.0
"""Seconds after which a process that is to be killed is killed at the latest."""
DELETED_AT = "_PGSNOW_DELETED_AT"
GUARD = "DeletesUnconfirmed"
"""Type of the error with which a table ends whose deletes need a person's confirmation."""

CONFIRMED: dict[str, Any] = {"confirm_deletes": True}


class Crash(Exception):
    """Ends a run in the middle."""


@dataclass(slots=True)
class Ticked:
    """tables: that were synced up to the start of the tick. removed: from the target, as far as that was seen."""

    tables: set[str]
    removed: list[tuple[str, Key]] = field(default_factory=list)


class WatchedWarehouse(MemoryWarehouse):
    """Notes each key that a step removes from its target."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[tuple[str, Key]] = []

    @contextmanager
    def step(self, call: Call) -> Iterator[None]:
        name = call.table.partition(".")[2]
        with self._lock:
            before = keys_of(name, self.target(name)) if call.point not in ADDING else set()
            try:
                with super().step(call):
                    yield
            finally:
                if before:
                    self.removed += [(name, key) for key in before - keys_of(name, self.target(name))]

    def target(self, name: str) -> MemoryTable | None:
        return self.tables.get(f"NONE.ANALYTICS.{name.upper()}")


ADDING = {"put", "copy", "insert", "merge", "append", "clean up", "prepare", "select", "newest fence"}
"""Steps that remove no key."""


def values_of(name: str, table: MemoryTable | None) -> dict[Key, int]:
    """The rows that are not marked as deleted."""
    columns = [column.upper() for column in BY_NAME[name].key]
    return {
        tuple(str(row[column]) for column in columns): int(row["V"])
        for row in (table.rows if table else ())
        if row.get(DELETED_AT) is None
    }


def keys_of(name: str, table: MemoryTable | None) -> set[Key]:
    return set(values_of(name, table))


@dataclass(slots=True)
class Totals:
    """Sums over all ticks."""

    ticks: int = 0
    full_reads: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    kills: int = 0

    def add(self, report: SyncReport) -> None:
        self.ticks += 1
        for table in report.tables:
            if table.full_read:
                self.full_reads[table.full_read] += 1
            if table.error_type:
                self.errors[table.error_type] += 1


@contextmanager
def wrong_rule(xid: int) -> Iterator[None]:
    """Inside, rows count as deleted that a transaction from this one on has written, as in a snapshot that is older
    than the read."""
    older = SQL("xmin::text::bigint < {}").format(Literal(xid % 2**32))

    def side(snap: Snapshot, plan: TablePlan, *, conditions: Sequence[Composable] = ()) -> SourceSide:
        return SourceSide(snap, plan, conditions=[*conditions, older])

    with mock.patch.object(search, "SourceSide", side):
        yield


class InMemory:
    """One engine, with a target in memory. Its steps fail now and then, with and without effect."""

    def __init__(self, direct: str, dsn: str, folder: Path, options: dict[str, Any], seed: int) -> None:
        self.world = MemoryWorld(direct, folder)
        self.world.through({"POSTGRES_DSN": dsn})
        self.world.tables = [kind.entry() for kind in KINDS]
        self.world.options = options
        self.warehouse = self.world.warehouse = WatchedWarehouse()
        self.random = random.Random(seed)
        self.totals = Totals()
        self.is_wrong = False
        self._crash_at = 0
        self._stack = ExitStack()
        self.engine: Engine = self._stack.enter_context(self.world.engine(self._observe))

    def tick(self, *, calm: bool = False) -> Ticked:
        load = (
            calm or "load_every" not in self.world.options.get("defaults", {}) or self.random.random() < 0.3
        )
        self.warehouse.removed.clear()
        if not calm and self.random.random() < FAULTS:
            self._plan_a_fault()
        with wrong_rule(self._next_xid()) if self.is_wrong else nullcontext():
            report = self.engine.tick(load=load)
        self._crash_at = 0
        self.totals.add(report)
        report = self._confirmed(report)
        done = {table.table.partition(".")[2] for table in report.tables if table.ok and load}
        return Ticked(done, list(self.warehouse.removed))

    def rows(self) -> Rows:
        return {kind.name: values_of(kind.name, self.warehouse.target(kind.name)) for kind in KINDS}

    def close(self) -> None:
        self._stack.close()
        self.world.close()

    def _confirmed(self, report: SyncReport) -> SyncReport:
        """Tables that are blocked by a guard are confirmed, as a person would who has emptied them."""
        blocked = blocked_in(report)
        self.totals.confirmed += len(blocked)
        if blocked:
            self.totals.add(self.engine.tick(blocked, **CONFIRMED))
        return report

    def _next_xid(self) -> int:
        ((xid,),) = self.world.sql("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(xid)

    def _plan_a_fault(self) -> None:
        point, after = self.random.choice(FAILING), self.random.random() < 0.5
        if self.random.random() < 0.5:
            self._crash_at = self.random.randint(1, 40)
        elif point in POINTS:
            self.warehouse.fail(point, TargetUnavailable("a fault of the stress"), after=after)

    def _observe(self, event: Event) -> None:
        if self._crash_at and event.phase != "finished":  # the run has ended by then
            self._crash_at -= 1
            if not self._crash_at:
                raise Crash(event.phase)


class Killed:
    """A process for each tick, with the Snowflake emulator; most of them are killed at some moment."""

    def __init__(self, direct: str, dsn: str, folder: Path, options: dict[str, Any], seed: int) -> None:
        self.emulator = EmbeddedSnowflake(folder / "snowflake")
        self.emulator.start()
        self.emulator.create_database(DATABASE)
        self.world = World({"POSTGRES_DSN": direct, **self.emulator.settings_env()}, self.emulator, folder)
        self.world.through({"POSTGRES_DSN": dsn})
        self.world.tables = [kind.entry() for kind in KINDS]
        self.world.options = options
        self.random = random.Random(seed)
        self.totals = Totals()
        self._before: Rows = {kind.name: {} for kind in KINDS}

    def tick(self, *, calm: bool = False) -> Ticked:
        """Some processes that are killed, and then a whole tick."""
        for _ in range(0 if calm else self.random.randint(1, 3)):
            self._killed_tick()
        return self._ticked(self._whole_tick())

    def rows(self) -> Rows:
        return {kind.name: self._rows_of(kind.name) for kind in KINDS}

    def close(self) -> None:
        self.world.close()
        self.emulator.stop()

    def _killed_tick(self) -> None:
        process = start_tick(self.world, PGSNOW_SMALL_RANGES="1")
        time.sleep(self.random.uniform(0.2, LONGEST_LIFE))
        with suppress(ProcessLookupError):
            process.kill()
        self.totals.ticks += 1
        self.totals.kills += process.wait() == -signal.SIGKILL

    def _whole_tick(self) -> set[str]:
        with self.world.engine() as engine:
            report = engine.tick()
            self.totals.add(report)
            if blocked := blocked_in(report):
                self.totals.confirmed += len(blocked)
                self.totals.add(engine.tick(blocked, **CONFIRMED))
        return {table.table.partition(".")[2] for table in report.tables if table.ok}

    def _ticked(self, tables: set[str]) -> Ticked:
        now = self.rows()
        removed = [
            (name, key) for name, rows in self._before.items() for key in rows.keys() - now[name].keys()
        ]
        self._before = now
        return Ticked(tables, removed)

    def _rows_of(self, name: str) -> dict[Key, int]:
        columns = ", ".join(f'"{column.upper()}"::VARCHAR' for column in BY_NAME[name].key)
        where = f" WHERE {DELETED_AT} IS NULL" if self._marks(name) else ""
        found = self.world.snowflake(
            f"SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = '{name.upper()}'"
        )
        if not found:
            return {}
        rows = self.world.snowflake(f"SELECT {columns}, V FROM ANALYTICS.{name.upper()}{where}")
        return {row[:-1]: int(row[-1]) for row in rows}

    def _marks(self, name: str) -> bool:
        return bool(
            self.world.snowflake(
                "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS"
                f" WHERE TABLE_NAME = '{name.upper()}' AND COLUMN_NAME = '{DELETED_AT}'"
            )
        )


def blocked_in(report: SyncReport) -> Sequence[str]:
    return [table.table for table in report.tables if table.error_type == GUARD]
