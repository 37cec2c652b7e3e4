"""Alignment of a target's columns with what the plan needs: the column for each field, and the actions to get there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgsnow.model.config.options import OnDrop
from pgsnow.model.evolution.column_mapping import INTERIM_PREFIX, ColumnMapper, ColumnMapping, fits
from pgsnow.model.evolution.ddl_actions import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.evolution.definition_diff import Pair
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.mapping import Field


@dataclass(frozen=True, slots=True)
class Alignment:
    """column_mapping: by source column. actions: what the target needs, in order.

    pre_actions: actions that free names which `actions` reuse (two columns that swap names). They must be complete,
    and `interim` stored in the ledger, before `actions` begin. orphan_columns: (name, type) of the target's columns
    that nothing fills afterwards.
    """

    column_mapping: Mapping[str, ColumnMapping]
    actions: tuple[TargetAction, ...]
    pre_actions: tuple[TargetAction, ...] = ()
    interim: SourceDefinition | None = None
    orphan_columns: tuple[tuple[str, str], ...] = ()


def align(stored_definition: SourceDefinition, plan: TablePlan, pairs: list[Pair]) -> Alignment:
    """The alignment of the stored target columns with the plan. pairs: `match_columns` of both. Raises TypeChanged."""
    now = {stored.attnum: column for stored, column in pairs}
    mapping, orphans = _map_columns(stored_definition, plan, pairs)
    drops = [stored for stored in stored_definition.columns if _is_to_drop(stored, now, plan)]
    wanted = {m.name for m in mapping.values() if m.is_new or m.before not in (None, m.name)}
    renamed = {m.before for m in mapping.values() if m.before is not None and m.before != m.name}
    if not wanted & (renamed | {stored.target for stored in drops}):
        return Alignment(mapping, tuple(_actions(mapping, drops)), orphan_columns=orphans)
    columns, pre_actions = _free_names(stored_definition, wanted, renamed, drops)
    interim = replace(stored_definition, columns=columns)
    kept = {new.attnum: new for new in columns if new.attnum is not None}
    rest = align(
        interim,
        plan,
        [(kept[stored.attnum], column) for stored, column in pairs if stored.attnum is not None],
    )
    return replace(rest, pre_actions=pre_actions, interim=interim)


def _free_names(
    stored_definition: SourceDefinition, wanted: set[str], renamed: set[str], drops: list[ColumnDefinition]
) -> tuple[tuple[ColumnDefinition, ...], tuple[TargetAction, ...]]:
    """Columns that are in the way of wanted names are dropped, or renamed to an interim name."""
    columns: list[ColumnDefinition] = []
    pre_actions: list[TargetAction] = []
    for at, stored in enumerate(stored_definition.columns):
        if stored.target is None or stored.target not in wanted:
            columns.append(stored)
        elif stored in drops:
            columns.append(replace(stored, target=None))
            pre_actions.append(DropColumn(stored.target))
        elif stored.target in renamed:
            columns.append(replace(stored, target=f"{INTERIM_PREFIX}{at}"))
            pre_actions.append(RenameColumn(stored.target, f"{INTERIM_PREFIX}{at}", stored.holds))
        else:
            columns.append(stored)
    return tuple(columns), tuple(pre_actions)


def _map_columns(
    stored_definition: SourceDefinition, plan: TablePlan, pairs: list[Pair]
) -> tuple[dict[str, ColumnMapping], tuple[tuple[str, str], ...]]:
    """(the mapping of each output field by its source column, the orphan columns that remain)."""
    now = {stored.attnum: column for stored, column in pairs}
    by_name = {column.name: stored for stored, column in pairs}
    computed = {stored.name: stored for stored in stored_definition.columns if stored.attnum is None}
    output = {f.source for f in plan.output}
    orphans = dict(stored_definition.orphan_columns)
    for stored in stored_definition.columns:
        is_gone = not _is_still_loaded(stored, now, output) and not _is_to_drop(stored, now, plan)
        if stored.target is not None and is_gone:
            orphans[stored.target] = stored.holds
    wanted = [
        (f, computed.get(f.source), None)
        if f.computed
        else (f, by_name.get(f.source), plan.source.column(f.source))
        for f in plan.output
    ]
    pending = {stored.target for _, stored, _ in wanted if stored is not None and stored.target is not None}
    mapper = ColumnMapper(plan, orphans, pending)
    found = {f.source: mapper.map(f, stored, c) for f, stored, c in sorted(wanted, key=lambda w: _rank(*w))}
    filled = {mapping.name for mapping in found.values()}
    return found, tuple(sorted((n, kind) for n, kind in mapper.orphans.items() if n not in filled))


def _rank(f: Field, stored: ColumnDefinition | None, column: Column | None) -> int:
    """The order of mapping: fields that keep their column, that leave it, that rename it, that have none yet."""
    if stored is None or stored.target is None:
        return 3
    if not fits(f, stored, column):
        return 1
    return 0 if stored.base == f.target and not stored.target.startswith(INTERIM_PREFIX) else 2


def _is_still_loaded(stored: ColumnDefinition, now: Mapping[int | None, Column], output: set[str]) -> bool:
    if stored.attnum is None:
        return stored.name in output
    return stored.attnum in now and now[stored.attnum].name in output


def _is_to_drop(stored: ColumnDefinition, now: Mapping[int | None, Column], plan: TablePlan) -> bool:
    is_gone = stored.attnum is not None and stored.attnum not in now and stored.target is not None
    # Snowflake drops no column of a clustering key.
    return is_gone and plan.config.on_drop is OnDrop.DROP and stored.name not in plan.config.cluster_by


def _actions(mapping: Mapping[str, ColumnMapping], drops: list[ColumnDefinition]) -> Iterator[TargetAction]:
    """Renames first, then types, then new columns, and drops last."""
    for m in mapping.values():
        if m.before is not None and m.before != m.name:
            yield RenameColumn(m.before, m.name, m.holds)
    for m in mapping.values():
        if m.widen_to is not None:
            yield WidenColumn(m.name, m.widen_to)
    for m in mapping.values():
        if m.is_new:
            yield AddColumn(m.name, m.holds)
    for stored in drops:
        if stored.target is not None:
            yield DropColumn(stored.target)
