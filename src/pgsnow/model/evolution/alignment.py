"""From what is remembered of a target's columns to what its plan needs of them, and the actions in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgsnow.model.config.options import OnDrop
from pgsnow.model.evolution.column_mapping import MOVED, ColumnMapping, ColumnMappings, fits
from pgsnow.model.evolution.ddl_actions import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.evolution.definition_diff import Pair
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.typemap import Field


@dataclass(frozen=True, slots=True)
class Alignment:
    """places: by source column. parting: actions that must be over, and `parted` remembered in the ledger, before
    `actions` begin: they get names out of the way that others are to have. left: what nothing fills afterwards."""

    places: Mapping[str, ColumnMapping]
    actions: tuple[TargetAction, ...]
    parting: tuple[TargetAction, ...] = ()
    parted: SourceDefinition | None = None
    left: tuple[tuple[str, str], ...] = ()


def retarget(known: SourceDefinition, plan: TablePlan, pairs: list[Pair]) -> Alignment:
    """Raises TypeChanged."""
    now = {k.attnum: column for k, column in pairs}
    places, left = _places(known, plan, pairs)
    drops = [k for k in known.columns if _is_to_drop(k, now, plan)]
    aims = {p.name for p in places.values() if p.is_new or p.before not in (None, p.name)}
    leaving = {p.before for p in places.values() if p.before is not None and p.before != p.name}
    if not aims & (leaving | {k.target for k in drops}):
        return Alignment(places, tuple(_actions(places, drops)), left=left)
    columns, parting = _part(known, aims, leaving, drops)
    parted = replace(known, columns=columns)
    kept = {new.attnum: new for new in columns if new.attnum is not None}
    rest = retarget(parted, plan, [(kept[k.attnum], column) for k, column in pairs if k.attnum is not None])
    return replace(rest, parting=parting, parted=parted)


def _part(
    known: SourceDefinition, aims: set[str], leaving: set[str], drops: list[ColumnDefinition]
) -> tuple[tuple[ColumnDefinition, ...], tuple[TargetAction, ...]]:
    columns: list[ColumnDefinition] = []
    parting: list[TargetAction] = []
    for at, k in enumerate(known.columns):
        if k.target is None or k.target not in aims:
            columns.append(k)
        elif k in drops:
            columns.append(replace(k, target=None))
            parting.append(DropColumn(k.target))
        elif k.target in leaving:
            columns.append(replace(k, target=f"{MOVED}{at}"))
            parting.append(RenameColumn(k.target, f"{MOVED}{at}", k.holds))
        else:
            columns.append(k)
    return tuple(columns), tuple(parting)


def _places(
    known: SourceDefinition, plan: TablePlan, pairs: list[Pair]
) -> tuple[dict[str, ColumnMapping], tuple[tuple[str, str], ...]]:
    """The place of each field of the output, and what is left then."""
    now = {k.attnum: column for k, column in pairs}
    by_name = {column.name: k for k, column in pairs}
    computed = {k.name: k for k in known.columns if k.attnum is None}
    output = {f.source for f in plan.output}
    left = dict(known.left)
    for k in known.columns:
        if k.target is not None and not _goes_on(k, now, output) and not _is_to_drop(k, now, plan):
            left[k.target] = k.holds
    wanted = [(f, *_of_field(f, plan, by_name, computed)) for f in plan.output]
    held = {k.target for _, k, _ in wanted if k is not None and k.target is not None}
    finder = ColumnMappings(plan, left, held)
    found = {f.source: finder.find(f, k, c) for f, k, c in sorted(wanted, key=lambda item: _rank(*item))}
    filled = {place.name for place in found.values()}
    return found, tuple(sorted((n, kind) for n, kind in finder.left.items() if n not in filled))


def _of_field(
    f: Field,
    plan: TablePlan,
    by_name: Mapping[str, ColumnDefinition],
    computed: Mapping[str, ColumnDefinition],
) -> tuple[ColumnDefinition | None, Column | None]:
    if f.computed:
        return computed.get(f.source), None
    return by_name.get(f.source), plan.source.column(f.source)


def _rank(f: Field, known: ColumnDefinition | None, column: Column | None) -> int:
    """Who stays in a column comes first, then who leaves one, who takes one along, who has none."""
    if known is None or known.target is None:
        return 3
    if not fits(f, known, column):
        return 1
    return 0 if known.base == f.target and not known.target.startswith(MOVED) else 2


def _goes_on(k: ColumnDefinition, now: Mapping[int | None, Column], output: set[str]) -> bool:
    """True if the column is loaded still."""
    if k.attnum is None:
        return k.name in output
    return k.attnum in now and now[k.attnum].name in output


def _is_to_drop(k: ColumnDefinition, now: Mapping[int | None, Column], plan: TablePlan) -> bool:
    is_gone = k.attnum is not None and k.attnum not in now and k.target is not None
    return is_gone and plan.config.on_drop is OnDrop.DROP


def _actions(places: Mapping[str, ColumnMapping], drops: list[ColumnDefinition]) -> Iterator[TargetAction]:
    """Names first, types then; what is new, and at last what goes."""
    for place in places.values():
        if place.before is not None and place.before != place.name:
            yield RenameColumn(place.before, place.name, place.holds)
    for place in places.values():
        if place.widen_to is not None:
            yield WidenColumn(place.name, place.widen_to)
    for place in places.values():
        if place.is_new:
            yield AddColumn(place.name, place.holds)
    for k in drops:
        if k.target is not None:
            yield DropColumn(k.target)
