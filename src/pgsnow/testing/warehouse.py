"""Tables, staged files and staging tables in memory, with scripted failures of each step."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.evolution.ddl_actions import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.metadata_columns import (
    DELETED_AT_COLUMN,
    FENCE_COLUMN,
    HASH_COLUMN,
    OCCURRENCE_COLUMN,
    ORDER_COLUMN,
)
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import staging_table

_CREATIONS = count()

Row = dict[str, Any]
"""Column of the target → value."""

POINTS = (
    "prepare", "evolve", "put", "copy", "insert", "merge", "replace", "append", "shadow", "prune", "clean up",
    "compare", "delete", "select",
)  # fmt: skip
"""Steps that are recorded, and that can be made to fail."""


@dataclass(slots=True)
class MemoryTable:
    """A table. columns: name → type as DESCRIBE TABLE writes it. copied: batches that were copied directly. created_on:
    as in TargetState; another one for each table."""

    columns: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    copied: set[str] = field(default_factory=set)
    comment: str = ""
    created_on: str = field(default_factory=lambda: f"{datetime.now(UTC).isoformat()} {next(_CREATIONS)}")

    def insert(self, rows: Iterable[Row]) -> None:
        """Add rows; a column that they lack is None. Raises TargetQueryFailed for a column that the table lacks."""
        for row in rows:
            self._check(row)
            self.rows.append(dict.fromkeys(self.columns) | row)

    def merge(self, rows: Sequence[Row], key: Sequence[str], fence: int) -> tuple[int, int]:
        """Rows inserted and updated, each duplicate of a key included. A row that was written under a higher fence
        stays as it is. `rows`: at most one per key. Raises TargetQueryFailed as `insert`."""
        there: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.rows:
            there[tuple(row[name] for name in key)].append(row)
        new, updated = [], 0
        for row in rows:
            self._check(row)
            found = there.get(tuple(row[name] for name in key), [])
            for old in found:
                if old[FENCE_COLUMN] is None or old[FENCE_COLUMN] <= fence:
                    old.update(row)
                    updated += 1
            if not found:
                new.append(row)
        self.insert(new)
        return len(new), updated

    def append(self, rows: Sequence[Row]) -> int:
        """Add the rows that are not there, known by content hash and number; how many."""
        there = {(row[HASH_COLUMN], row[OCCURRENCE_COLUMN]) for row in self.rows}
        new = [row for row in rows if (row[HASH_COLUMN], row[OCCURRENCE_COLUMN]) not in there]
        self.insert(new)
        return len(new)

    def keep_newest(self, identity: Sequence[str]) -> int:
        """Keep one row of each identity, the one with the highest fence, of those one that is not marked as deleted;
        how many were removed. Rows with None in it stay."""
        newest: dict[tuple[Any, ...], Row] = {}

        def place(row: Row) -> tuple[int, bool]:
            return row[FENCE_COLUMN] or 0, row.get(DELETED_AT_COLUMN) is None

        for row in sorted(self.rows, key=place):
            newest[tuple(row[name] for name in identity)] = row
        kept = {id(row) for row in newest.values()}
        return self.delete(
            lambda row: id(row) not in kept and all(row[name] is not None for name in identity)
        )

    def delete(self, gone: Callable[[Row], bool]) -> int:
        """Delete the rows for which `gone` is true; how many."""
        before = len(self.rows)
        self.rows = [row for row in self.rows if not gone(row)]
        return before - len(self.rows)

    def has_row_up_to(self, fence: int | None, after: int | None = None) -> bool:
        """True if a row has no fence, or one up to this; None: if there is any row. after: or one above this."""
        fences = [row[FENCE_COLUMN] or 0 for row in self.rows]
        return any(fence is None or at <= fence or (after is not None and at > after) for at in fences)

    @property
    def newest_fence(self) -> int:
        """The highest fence of any row; 0 if there is none."""
        return max((row[FENCE_COLUMN] or 0 for row in self.rows), default=0)

    def alter(self, action: TargetAction) -> None:
        """Add, rename, widen or drop a column, if that is not done already."""
        match action:
            case RenameColumn(old, new, kind):
                if old in self.columns and new not in self.columns:
                    self.columns = {new if c == old else c: k for c, k in self.columns.items()}
                    self.rows = [{new if c == old else c: v for c, v in row.items()} for row in self.rows]
                elif new not in self.columns:
                    self.alter(AddColumn(new, kind))
            case AddColumn(name, kind):
                self.columns.setdefault(name, kind)
                for row in self.rows:
                    row.setdefault(name, None)
            case WidenColumn(name, kind):
                self.columns[name] = kind
            case DropColumn(name):
                self.columns.pop(name, None)
                for row in self.rows:
                    row.pop(name, None)

    def _check(self, row: Row) -> None:
        if unknown := row.keys() - self.columns.keys():
            raise TargetQueryFailed(f"no columns {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class Call:
    """One step that was done. table: its name in the configuration. batch: the load batch that it was done for."""

    table: str
    point: str
    batch: str = ""


@dataclass(slots=True)
class _Fault:
    point: str
    error: Exception
    after: bool
    nth: int


class MemoryWarehouse:
    """Content of a Snowflake account, in memory. Outlives the engines that load into it; any thread may use it.

    tables: by full name, such as `DB.ANALYTICS.USERS`. staged: batch → rows of its files. staging: full name of a
    staging or shadow table → table. calls: every step in order. connections: how many runs, and chunks,
    have used a session.
    """

    def __init__(self) -> None:
        self.tables: dict[str, MemoryTable] = {}
        self.staged: defaultdict[str, list[Row]] = defaultdict(list)
        self.staging: dict[str, MemoryTable] = {}
        self.calls: list[Call] = []
        self.connections = 0
        self.created: list[str] = []
        """Full names of the targets that were created."""
        self.cleaned_up: list[str] = []
        """Batches that were cleaned up."""
        self.ticks: dict[str, tuple[ConsistentTick, list[str]]] = {}
        """Rows of PGSNOW_TICKS, each with the tables that have its state."""
        self._faults: list[_Fault] = []
        self._lock = threading.RLock()

    def fail(self, point: str, error: Exception, *, after: bool = False, nth: int = 1) -> None:
        """Let the nth step of this kind from now on fail once: before it does anything, as a statement that is
        rejected, or `after` it is done, as one whose reply is lost. Raises ValueError for an unknown point."""
        if point not in POINTS:
            raise ValueError(f"{point!r} is none of {', '.join(POINTS)}")
        with self._lock:
            self._faults.append(_Fault(point, error, after, nth))

    def drop(self, target: str) -> None:
        """Drop a target, as a person would. Raises KeyError if it is not there."""
        with self._lock:
            del self.tables[target]

    def done(self, point: str) -> list[Call]:
        """The steps of this kind that were done, in order."""
        return [call for call in self.calls if call.point == point]

    @property
    def leftovers(self) -> list[str]:
        """Staging tables, shadow tables and `<batch>/` of staged files that are still there."""
        return sorted([*self.staging, *(f"{batch}/" for batch in self.staged)])

    def table(self, name: TargetName) -> MemoryTable:
        """A target, staging or shadow table. Raises TargetMissing."""
        found = self.tables.get(str(name)) or self.staging.get(str(name))
        if found is None:
            raise TargetMissing(f"{name} does not exist")
        return found

    def create(self, name: TargetName, columns: dict[str, str]) -> MemoryTable:
        """The target, which is created if it is not there."""
        if str(name) not in self.tables:
            self.tables[str(name)] = MemoryTable(dict(columns))
            self.created.append(str(name))
        return self.tables[str(name)]

    def clean_up(self, target: TargetName, batches: Collection[str]) -> None:
        """Remove the staged files and the staging or shadow table of these batches. Idempotent."""
        for batch in batches:
            self.staged.pop(batch, None)
            self.staging.pop(str(staging_table(target, batch)), None)
            self.cleaned_up.append(batch)

    @contextmanager
    def step(self, call: Call) -> Iterator[None]:
        """One step, undivided: no other thread sees half of it. Raises the error of a fault that is due."""
        with self._lock:
            fault = self._due(call.point)
            if fault is not None and not fault.after:
                raise fault.error
            yield
            self.calls.append(call)
            if fault is not None:
                raise fault.error

    def _due(self, point: str) -> _Fault | None:
        for fault in [fault for fault in self._faults if fault.point == point]:
            fault.nth -= 1
            if fault.nth == 0:
                self._faults.remove(fault)
                return fault
        return None


def last_of_each(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """The rows that were read last, one for each key; all of them if there is no key."""
    ordered = sorted(rows, key=lambda row: row[ORDER_COLUMN])
    if not key:
        return ordered
    return list({tuple(row[name] for name in key): row for row in ordered}.values())
