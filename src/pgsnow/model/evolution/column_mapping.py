"""Where in the target each column of the source is kept as the source changes: renamed, widened, beside the old one.

A column that nothing fills any more is left as it is, and is taken up again when its name and type fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pgsnow.model.config.options import OnTypeChange
from pgsnow.model.errors import TypeChanged
from pgsnow.model.evolution.source_definition import ColumnDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.snowflake_types import can_take, widened
from pgsnow.model.types.typemap import Field

_VARYING = frozenset({"varchar", "bpchar"})
MOVED = "_PGSNOW_MOVED_"
"""Begin of the names that columns have while others take theirs."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """before: the column that its values are in so far (None: another one, or none). filled: why older rows must be
    read for it, or None."""

    name: str
    holds: str
    base: str
    shadow: bool = False
    before: str | None = None
    widen_to: str | None = None
    is_new: bool = False
    filled: str | None = None


def shadow_name(base: str, kind: str) -> str:
    """`PRICE` and NUMBER(12,4) → `PRICE__NUMBER_12_4`."""
    return f"{base}__{re.sub(r'[^A-Za-z0-9]+', '_', kind).strip('_')}"


@dataclass(slots=True)
class ColumnMappings:
    """Finds a place for one column after the other. left: columns that may be taken up, name → type. held: columns
    of those that have no place yet. taken: names in use by others, upper case."""

    plan: TablePlan
    left: dict[str, str]
    held: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    def find(self, f: Field, known: ColumnDefinition | None, column: Column | None) -> ColumnMapping:
        """Raises TypeChanged. Columns that stay come first, then those that leave theirs, are renamed, are new."""
        if known is None or known.target is None:
            return self._claim(self._new(f))
        self.held.discard(known.target)
        changed = known.snowflake != f.type.snowflake
        if changed and known.shadow and self._may_leave(f, known):
            back = self._taken_up(f, f"column {f.target} takes the values again")
            if back is not None:
                self.left[known.target] = known.holds
                return self._claim(back)
        if fits(f, known, column):
            return self._claim(self._moved(f, known, _wider(f, known, column)))
        self.left[known.target] = known.holds
        return self._claim(self._beside(f, known))

    def _moved(self, f: Field, known: ColumnDefinition, wide: str | None) -> ColumnMapping:
        """The column that it is in, under the name that it has now."""
        holds = wide or known.holds
        if known.base == f.target and known.target is not None and not known.target.startswith(MOVED):
            return ColumnMapping(known.target, holds, f.target, known.shadow, known.target, wide)
        wanted = shadow_name(f.target, holds) if known.shadow else f.target
        if self._is_free(wanted, but_for_held=True):
            return ColumnMapping(wanted, holds, f.target, known.shadow, known.target, wide)
        if self._may_leave(f, known) and wanted == f.target:
            place = self._taken_up(f, f"column {wanted} was in the target already")
            if place is not None:
                self.left[str(known.target)] = known.holds
                return place
        name = self._unused(shadow_name(f.target, holds))
        return ColumnMapping(name, holds, f.target, True, known.target, wide)

    def _beside(self, f: Field, known: ColumnDefinition) -> ColumnMapping:
        told = f"column {f.source} is {f.type.postgres} now, which {known.target} ({known.holds}) cannot take"
        if f.key:
            raise TypeChanged(
                f"{self.plan.source.name}: key {told}",
                advice="Sync the table into another target, or alter the key's column in Snowflake by hand.",
            )
        if known.base != f.target and self._is_free(f.target):
            return ColumnMapping(f.target, f.type.snowflake, f.target, is_new=True, filled=told)
        return self._taken_up(f, told) or self._shadow(f, told, filled=told)

    def _new(self, f: Field) -> ColumnMapping:
        if self._is_free(f.target):
            return ColumnMapping(f.target, f.type.snowflake, f.target, is_new=True)
        told = f"column {f.target} was in the target already"
        return self._taken_up(f, told) or self._shadow(f, f"{told}, of another type", filled=None)

    def _taken_up(self, f: Field, told: str) -> ColumnMapping | None:
        """The name's own column, if it is left and will do: what older rows have in it is overwritten."""
        kind = self.left.get(f.target)
        if kind is None or self._is_taken(f.target) or not can_take(kind, f.type):
            return None
        return ColumnMapping(f.target, kind, f.target, filled=told)

    def _shadow(self, f: Field, told: str, *, filled: str | None) -> ColumnMapping:
        if self.plan.config.on_type_change is OnTypeChange.FAIL:
            raise TypeChanged(f"{self.plan.source.name}: {told}")
        name = shadow_name(f.target, f.type.snowflake)
        kind = self.left.get(name)
        if kind is not None and not self._is_taken(name) and can_take(kind, f.type):
            return ColumnMapping(
                name, kind, f.target, True, filled=filled or f"column {name} was in the target already"
            )
        return ColumnMapping(self._unused(name), f.type.snowflake, f.target, True, is_new=True, filled=filled)

    def _claim(self, place: ColumnMapping) -> ColumnMapping:
        self.taken.add(place.name.upper())
        return place

    def _is_taken(self, name: str) -> bool:
        return name.upper() in self.taken

    def _may_leave(self, f: Field, known: ColumnDefinition) -> bool:
        """A key stays in its column, and so does what must be renamed because another column gets its name."""
        return not f.key and known.target is not None and not self._is_taken(known.target)

    def _is_free(self, name: str, *, but_for_held: bool = False) -> bool:
        """but_for_held: who holds it will be renamed, since all that stay have their places."""
        others = self.left if but_for_held else {*self.left, *self.held}
        return not self._is_taken(name) and name.upper() not in {other.upper() for other in others}

    def _unused(self, name: str) -> str:
        candidates = (name, *(f"{name}_{n}" for n in range(2, 10_000)))
        return next(candidate for candidate in candidates if self._is_free(candidate))


def fits(f: Field, known: ColumnDefinition, column: Column | None) -> bool:
    """True if the column that the values are in can take them still, as it is or widened in place."""
    return can_take(known.holds, f.type) or _wider(f, known, column) is not None


def _wider(f: Field, known: ColumnDefinition, column: Column | None) -> str | None:
    is_as_before = known.snowflake == f.type.snowflake and (
        column is None or known.type_text == column.type_text
    )
    return None if is_as_before else widened(known.holds, f.type, _length(column))


def _length(column: Column | None) -> int | None:
    """Characters of `varchar(n)`, `char(n)`. PostgreSQL keeps n + 4 in the typmod."""
    if column is None or column.type_name not in _VARYING or column.typmod < 4:
        return None
    return column.typmod - 4
