"""Which column of the target holds each source column as the source changes: renamed, widened, or a shadow column.

A column of the target that nothing fills any more (an orphan) is kept; it is used again when a field with its
name and a fitting type appears.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pgsnow.model.config.options import OnTypeChange
from pgsnow.model.errors import TypeChanged
from pgsnow.model.evolution.source_definition import ColumnDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.snowflake_types import can_take, widened

_VARYING = frozenset({"varchar", "bpchar"})
INTERIM_PREFIX = "_PGSNOW_MOVED_"
"""Prefix of the names that columns have while their own names pass to other columns."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The target's column for one field.

    holds: its type. base: its name according to the configuration. before: the column that held the values so far
    (None: a different one, or none). filled: why older rows must be read again for it, or None.
    """

    name: str
    holds: str
    base: str
    shadow: bool = False
    before: str | None = None
    widen_to: str | None = None
    is_new: bool = False
    filled: str | None = None


LONGEST_NAME = 255
"""Characters of an identifier (Snowflake docs, "Identifier requirements")."""


def shadow_name(base: str, kind: str) -> str:
    """`PRICE` and NUMBER(12,4) → `PRICE__NUMBER_12_4`. A long name is cut, so that a number may still be appended."""
    suffix = f"__{re.sub(r'[^A-Za-z0-9]+', '_', kind).strip('_')}"
    return base[: LONGEST_NAME - len(suffix) - len("_9999")] + suffix


@dataclass(slots=True)
class ColumnMapper:
    """Maps one field after the other.

    orphans: columns that may be used again, name → type. pending: current columns of fields that are not mapped yet.
    taken: names in use by mapped fields, upper case.
    """

    plan: TablePlan
    orphans: dict[str, str]
    pending: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    def map(self, f: Field, stored: ColumnDefinition | None, column: Column | None) -> ColumnMapping:
        """The column for a field. Fields that keep their column must be mapped first, then those that leave theirs,
        those that are renamed, and new ones. Raises TypeChanged."""
        if stored is None or stored.target is None:
            return self._claim(self._new(f))
        self.pending.discard(stored.target)
        changed = stored.snowflake != f.type.snowflake
        if changed and stored.shadow and self._may_leave(f, stored):
            back = self._reused(f, f"column {f.target} takes the values again")
            if back is not None:
                self.orphans[stored.target] = stored.holds
                return self._claim(back)
        if fits(f, stored, column):
            return self._claim(self._kept(f, stored, _wider(f, stored, column)))
        self.orphans[stored.target] = stored.holds
        return self._claim(self._replaced(f, stored))

    def _kept(self, f: Field, stored: ColumnDefinition, wide: str | None) -> ColumnMapping:
        """The column that already holds the values, under the name that it must have now."""
        holds = wide or stored.holds
        is_named = stored.target is not None and not stored.target.startswith(INTERIM_PREFIX)
        if stored.base == f.target and stored.target is not None and is_named:
            return ColumnMapping(stored.target, holds, f.target, stored.shadow, stored.target, wide)
        wanted = shadow_name(f.target, holds) if stored.shadow else f.target
        if self._is_free(wanted, ignore_pending=True):
            return ColumnMapping(wanted, holds, f.target, stored.shadow, stored.target, wide)
        if self._may_leave(f, stored) and wanted == f.target:
            reused = self._reused(f, f"column {wanted} was in the target already")
            if reused is not None:
                self.orphans[str(stored.target)] = stored.holds
                return reused
        name = self._unused(shadow_name(f.target, holds))
        return ColumnMapping(name, holds, f.target, True, stored.target, wide)

    def _replaced(self, f: Field, stored: ColumnDefinition) -> ColumnMapping:
        """Another column, because the stored one cannot take the values."""
        reason = (
            f"column {f.source} is {f.type.postgres} now, which {stored.target} ({stored.holds}) cannot take"
        )
        if f.key:
            raise TypeChanged(
                f"{self.plan.source.name}: key {reason}",
                advice="Sync the table into another target, or alter the key's column in Snowflake by hand.",
            )
        if stored.base != f.target and self._is_free(f.target):
            return ColumnMapping(f.target, f.type.snowflake, f.target, is_new=True, filled=reason)
        return self._reused(f, reason) or self._shadow(f, reason, filled=reason)

    def _new(self, f: Field) -> ColumnMapping:
        if self._is_free(f.target):
            return ColumnMapping(f.target, f.type.snowflake, f.target, is_new=True)
        reason = f"column {f.target} was in the target already"
        return self._reused(f, reason) or self._shadow(f, f"{reason}, of another type", filled=None)

    def _reused(self, f: Field, reason: str) -> ColumnMapping | None:
        """The orphan column of the field's name, if its type fits; the values of older rows in it are overwritten."""
        kind = self.orphans.get(f.target)
        if kind is None or self._is_taken(f.target) or not can_take(kind, f.type):
            return None
        return ColumnMapping(f.target, kind, f.target, filled=reason)

    def _shadow(self, f: Field, reason: str, *, filled: str | None) -> ColumnMapping:
        if self.plan.config.on_type_change is OnTypeChange.FAIL:
            raise TypeChanged(f"{self.plan.source.name}: {reason}")
        name = shadow_name(f.target, f.type.snowflake)
        kind = self.orphans.get(name)
        if kind is not None and not self._is_taken(name) and can_take(kind, f.type):
            return ColumnMapping(
                name, kind, f.target, True, filled=filled or f"column {name} was in the target already"
            )
        return ColumnMapping(self._unused(name), f.type.snowflake, f.target, True, is_new=True, filled=filled)

    def _claim(self, mapping: ColumnMapping) -> ColumnMapping:
        self.taken.add(mapping.name.upper())
        return mapping

    def _is_taken(self, name: str) -> bool:
        return name.upper() in self.taken

    def _may_leave(self, f: Field, stored: ColumnDefinition) -> bool:
        """False for a key, and for a column that must be renamed because another field takes its name."""
        return not f.key and stored.target is not None and not self._is_taken(stored.target)

    def _is_free(self, name: str, *, ignore_pending: bool = False) -> bool:
        """ignore_pending: a pending field's column will be renamed, since all that keep theirs are mapped."""
        others = self.orphans if ignore_pending else {*self.orphans, *self.pending}
        return not self._is_taken(name) and name.upper() not in {other.upper() for other in others}

    def _unused(self, name: str) -> str:
        candidates = (name, *(f"{name}_{n}" for n in range(2, 10_000)))
        return next(candidate for candidate in candidates if self._is_free(candidate))


def fits(f: Field, stored: ColumnDefinition, column: Column | None) -> bool:
    """True if the stored column can take the field's values, as it is or widened in place."""
    return can_take(stored.holds, f.type) or _wider(f, stored, column) is not None


def _wider(f: Field, stored: ColumnDefinition, column: Column | None) -> str | None:
    is_unchanged = stored.snowflake == f.type.snowflake and (
        column is None or stored.type_text == column.type_text
    )
    return None if is_unchanged else widened(stored.holds, f.type, _length(column))


def _length(column: Column | None) -> int | None:
    """Characters of `varchar(n)`, `char(n)`. PostgreSQL keeps n + 4 in the typmod."""
    if column is None or column.type_name not in _VARYING or column.typmod < 4:
        return None
    return column.typmod - 4
