"""A source table and its target in memory, both of which evolve: for tests of drift without servers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.evolution.ddl_actions import TargetAction
from pgsnow.model.evolution.drift import Drift, SourceDefinition, drift_of
from pgsnow.model.plan import FENCE_COLUMN, TablePlan, fields_of, watermark_of
from pgsnow.model.table import Column, Leaf, SourceName, SourceTable, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.snowflake.schema.evolve import evolution
from pgsnow.snowflake.schema.target_table import TargetColumn

TYPES = {
    "integer": ("int4", 23, -1, "N"),
    "bigint": ("int8", 20, -1, "N"),
    "text": ("text", 25, -1, "S"),
    "varchar(10)": ("varchar", 1043, 14, "S"),
    "varchar(50)": ("varchar", 1043, 54, "S"),
    "numeric(10,2)": ("numeric", 1700, (10 << 16 | 2) + 4, "N"),
    "numeric(14,2)": ("numeric", 1700, (14 << 16 | 2) + 4, "N"),
    "numeric(12,4)": ("numeric", 1700, (12 << 16 | 4) + 4, "N"),
    "timestamptz": ("timestamptz", 1184, -1, "D"),
    "timestamp": ("timestamp", 1114, -1, "D"),
}


def column(attnum: int, name: str, kind: str = "integer", **more: Any) -> Column:
    """A column of one of TYPES."""
    type_name, oid, typmod, category = TYPES[kind]
    facts: dict[str, Any] = {"not_null": False, "kind": "b", "type_text": kind} | more
    return Column(name, attnum, type_name, oid, typmod, category=category, **facts)


ID, AT = column(1, "id", not_null=True), column(2, "at", "timestamptz", not_null=True)


def table(*columns: Column, **facts: Any) -> SourceTable:
    """`public.things` with a key, a watermark and these columns."""
    given: dict[str, Any] = {"oid": 1000, "relkind": "r", "filenode": "f1", "unique_keys": (("id",),)} | facts
    return SourceTable(SourceName("public", "things"), columns=(ID, AT, *columns), **given)


def plan_of(source: SourceTable, **config: Any) -> TablePlan:
    """The plan of a table without a transform."""
    given = {"source": "public.things", "target": "db.s.things", "pk": "id", "watermark_column": "at"}
    made = TableConfig.model_validate(given | config)
    fields = fields_of(made, source)
    target = TargetName.parse(made.target)
    return TablePlan(made, source, target, fields, fields, watermark_of(made, source), key_of(made, source))


def known_after(source: SourceTable, **config: Any) -> SourceDefinition:
    """What is remembered once the table was synced as it is."""
    return drift_of(None, plan_of(source, **config)).after


def drift(before: SourceTable, now: SourceTable, **config: Any) -> Drift:
    """What drifted between two states of the table."""
    return drift_of(known_after(before, **config), plan_of(now, **config))


class Cut(Exception):
    """The worker died."""


@dataclass(slots=True)
class Target:
    """Columns (name → type), and two rows of values, one of them gone from the source, so that no read mends it.
    Takes the statements of `evolve`; dies after `lives` of them."""

    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    gone: dict[str, Any] = field(default_factory=dict)
    lives: int | None = None

    def execute(self, statement: str) -> None:
        if self.lives is not None:
            if self.lives == 0:
                raise Cut
            self.lives -= 1
        names = [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")+)"', statement)][3:]
        kind = statement.removesuffix(" COLLATE ''").rsplit(" ", 1)[1]
        if " RENAME COLUMN " in statement:
            old, new = names
            assert new not in self.kinds
            for held in (self.kinds, self.values, self.gone):
                held[new] = held.pop(old)
        elif " ADD COLUMN " in statement:
            self.kinds.setdefault(names[0], kind)
            self.values.setdefault(names[0], None)
            self.gone.setdefault(names[0], None)
        elif " DROP COLUMN " in statement:
            del self.kinds[names[0]], self.values[names[0]], self.gone[names[0]]
        else:
            assert " SET DATA TYPE " in statement
            self.kinds[names[0]] = kind

    def evolve(self, plan: TablePlan, actions: tuple[TargetAction, ...]) -> str | None:
        """Why everything must be read although the drift did not say so."""
        there = [
            TargetColumn(name, kind, required=False, computed=False) for name, kind in self.kinds.items()
        ]
        evolved = evolution(plan.target, actions, there)
        for change in evolved.changes:
            self.execute(change.statement)
        return evolved.incomplete


@dataclass(slots=True)
class Evolution:
    """One row of a source whose columns change, its target, and the ledger's memory."""

    source: SourceTable
    config: dict[str, Any] = field(default_factory=dict)
    target: Target = field(default_factory=Target)
    known: SourceDefinition | None = None
    row: dict[int, int] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(10))

    def change(self, *columns: Column, **facts: Any) -> None:
        self.source = replace(self.source, columns=(ID, AT, *columns), **facts)

    @property
    def others(self) -> list[Column]:
        return list(self.source.columns[2:])

    def value_of(self, column: Column) -> Any:
        """What the row has in it."""
        return (column.attnum, self.row.get(column.attnum, 0)) if column.attnum in self.row else None

    def sync(self, cut_after: int | None = None) -> None:
        """One run; dies after so many statements to the target."""
        self.target.lives = cut_after
        found = drift_of(self.known, plan_of(self.source, **self.config))
        if self.known is None:
            self.target.kinds |= {f.target: f.type.snowflake for f in found.plan.output}
            self.target.gone |= {
                f.target: self.source.column(f.source).attnum  # type: ignore[union-attr]
                for f in found.plan.output
            }
            self.target.kinds[FENCE_COLUMN] = "NUMBER(38,0)"
        incomplete = None
        if found.pre_actions:
            incomplete = self.target.evolve(found.plan, found.pre_actions)
            self.known = found.interim
        incomplete = self.target.evolve(found.plan, found.actions) or incomplete
        if self.known is None or found.full_read or found.by_xid or incomplete:
            for f in found.plan.output:
                now = self.source.column(f.source)
                assert now is not None
                self.target.values[f.target] = self.value_of(now)
        if cut_after is not None:
            raise Cut
        self.known = found.after.with_target_columns(self.target.kinds, frozenset({FENCE_COLUMN}))

    def check(self) -> None:
        """Every column's values are where the plan says, in a column that takes them."""
        found = drift_of(self.known, plan_of(self.source, **self.config))
        assert not found.has_work, found
        for f in found.plan.output:
            now = self.source.column(f.source)
            assert now is not None
            assert self.target.values[f.target] == self.value_of(now), (f.target, self.target, self.known)

    def check_gone(self, altered: set[int]) -> None:
        """A row that nobody reads again: no column has the values of another that goes on, unless that left them when
        its type was altered; and where no column is ever taken up again, every one has its own."""
        living = {c.attnum for c in self.source.columns} - altered
        for f in drift_of(self.known, plan_of(self.source, **self.config)).plan.output:
            own = self.source.column(f.source)
            held = self.target.gone[f.target]
            assert own is not None
            assert held in (None, own.attnum) or held not in living, (f.target, self.target)
            if self.config["on_drop"] == "drop" and not altered and own.attnum < 5:
                assert held == own.attnum, (f.target, self.target)


__all__ = [
    "AT",
    "ID",
    "TYPES",
    "Cut",
    "Evolution",
    "Leaf",
    "column",
    "drift",
    "known_after",
    "plan_of",
    "table",
]
