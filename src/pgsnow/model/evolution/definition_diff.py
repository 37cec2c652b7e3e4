"""What changed in a source table's definition, told column by column, and what of it makes old rows out of date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.config.digest import config_digest
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column, Leaf, SourceTable
from pgsnow.model.types.typemap import Field


@dataclass(frozen=True, slots=True)
class Change:
    """One change. kind: added, dropped, renamed, type, not null, labels, generation, key, re-created, attached,
    detached, rewritten, or target (of the target alone). column: its name now, or as it was.

    outdates: True if rows that were loaded before may be different now without having been written.
    """

    kind: str
    column: str | None
    text: str
    outdates: bool = False


Pair = tuple[ColumnDefinition, Column]


def matched(known: SourceDefinition, source: SourceTable) -> list[Pair]:
    """Each known column with what it is now: by its number in the same table, by its name in another one."""
    if known.oid == source.oid:
        now = {column.attnum: column for column in source.columns}
        return [(k, now[k.attnum]) for k in known.columns if k.attnum in now]
    named = {column.name: column for column in source.columns}
    return [(k, named[k.name]) for k in known.columns if k.attnum is not None and k.name in named]


def changes_of(known: SourceDefinition, plan: TablePlan) -> tuple[Change, ...]:
    """Every change of the source since it was remembered, the table's own first, then by column."""
    source, pairs = plan.source, matched(known, plan.source)
    return (*_of_table(known, source), *_of_key(known, plan, pairs), *_of_columns(known, plan, pairs))


def is_rewritten(known: SourceDefinition, source: SourceTable) -> bool:
    """True if a table that was there then has other storage now. Partitions that came or went do not count."""
    if known.oid != source.oid:
        return False
    before = {leaf.oid: leaf.filenode for leaf in known.leaves}
    same = [leaf for leaf in source.leaves if leaf.oid in before]
    if len(same) == len(before) == len(source.leaves):
        return known.filenode != source.filenode
    return any(leaf.filenode != before[leaf.oid] for leaf in same)


def leaves_apart(known: SourceDefinition, source: SourceTable) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """(attached, detached) since then."""
    before, now = {leaf.oid for leaf in known.leaves}, {leaf.oid for leaf in source.leaves}
    return (
        tuple(leaf for leaf in source.leaves if leaf.oid not in before),
        tuple(leaf for leaf in known.leaves if leaf.oid not in now),
    )


def _of_table(known: SourceDefinition, source: SourceTable) -> Iterator[Change]:
    if known.oid != source.oid:
        told = f"{source.name} is another table now: created anew, or renamed into its place"
        yield Change("re-created", None, told, outdates=True)
        return
    attached, detached = leaves_apart(known, source)
    for leaf in attached:
        yield Change("attached", None, f"{leaf.name} was attached: all of its rows are read")
    for leaf in detached:
        yield Change("detached", None, f"{leaf.name} was detached or dropped")


def _of_key(known: SourceDefinition, plan: TablePlan, pairs: Sequence[Pair]) -> Iterator[Change]:
    now_called = {k.name: column.name for k, column in pairs}
    before = [now_called.get(name, name) for name in known.key]
    now = [field.source for field in plan.key]
    if set(before) != set(now):
        told = f"the key was [{', '.join(known.key)}] and is [{', '.join(now)}]"
        yield Change("key", None, told, outdates=True)


def _of_columns(known: SourceDefinition, plan: TablePlan, pairs: Sequence[Pair]) -> Iterator[Change]:
    fields = {field.source: field for field in plan.fields}
    types = {field.source: field.type.snowflake for field in plan.output}
    rewritten = is_rewritten(known, plan.source)
    there = {k.name for k, _ in pairs}
    for k in known.columns:
        if k.attnum is not None and k.name not in there:
            yield Change("dropped", k.name, f"column {k.name} was dropped")
    for k, column in pairs:
        if k.name != column.name:
            yield Change("renamed", column.name, f"column {k.name} was renamed to {column.name}")
        if k.is_read and column.name in fields:
            yield from _of_column(k, column, types.get(column.name, k.snowflake), rewritten)
    paired = {column.name for _, column in pairs}
    for column in plan.source.columns:
        if column.name not in paired:
            yield _added(column, fields.get(column.name), rewritten)


def _added(column: Column, field: Field | None, rewritten: bool) -> Change:
    told = f"column {column.name} {column.type_text}".rstrip() + " was added"
    if field is None:
        return Change("added", column.name, f"{told}; the configuration leaves it out")
    filled = column.has_default or column.has_missing or column.generation is not None or rewritten
    return Change("added", column.name, told, outdates=filled)


def _of_column(k: ColumnDefinition, column: Column, snowflake: str, rewritten: bool) -> Iterator[Change]:
    if k.type_text != column.type_text or k.snowflake != snowflake:
        yield _type_changed(k, column, snowflake, rewritten)
    if k.not_null != column.not_null:
        told = "may not be NULL any more" if column.not_null else "may be NULL now"
        yield Change("not null", column.name, f"column {column.name} {told}")
    if k.labels != column.labels and k.type_text == column.type_text:
        yield _labels_changed(k, column)
    if k.generation != column.generation:
        outdates = column.generation is not None
        yield Change(
            "generation", column.name, f"column {column.name} is computed in another way", outdates=outdates
        )


def _type_changed(k: ColumnDefinition, column: Column, snowflake: str, rewritten: bool) -> Change:
    was, is_now = k.type_text or k.snowflake, column.type_text or snowflake
    if was == is_now:
        was, is_now = k.snowflake, snowflake
    told = f"column {column.name} was {was} and is {is_now}"
    return Change("type", column.name, told, outdates=rewritten)


def _labels_changed(k: ColumnDefinition, column: Column) -> Change:
    if column.kind != "c" and _is_within(k.labels, column.labels):
        new = ", ".join(label for label in column.labels if label not in k.labels)
        return Change("labels", column.name, f"column {column.name} has new labels: {new}")
    told = f"the labels or attributes of column {column.name} were changed"
    return Change("labels", column.name, told, outdates=True)


def _is_within(few: Sequence[str], many: Iterable[str]) -> bool:
    """True if `few` is `many` with some left out: labels only came."""
    rest = iter(many)
    return all(label in rest for label in few)


def known_of(plan: TablePlan, places: Mapping[str, ColumnDefinition] | None = None) -> SourceDefinition:
    """What there is to remember of a plan whose output has been carried out. places: by source column, where the
    target holds it, if that is not simply the plan's own column."""
    source, places = plan.source, places or {}
    output = {field.source: field for field in plan.output}
    read = {field.source for field in plan.fields}
    columns = [
        _placed(
            ColumnDefinition(
                c.attnum, c.name, c.type_text, not_null=c.not_null, labels=c.labels,
                generation=c.generation, is_read=c.name in read,
            ),
            output.get(c.name), places,
        )
        for c in source.columns
    ]  # fmt: skip
    columns += [_placed(ColumnDefinition(None, f.source), f, places) for f in plan.output if f.computed]
    return SourceDefinition(
        oid=source.oid,
        name=str(source.name),
        relkind=source.relkind,
        into=str(plan.target),
        key=tuple(field.source for field in plan.key),
        filenode=source.filenode,
        leaves=source.leaves,
        columns=tuple(columns),
        settings=tuple(config_digest(plan.config).items()),
    )


def _placed(
    column: ColumnDefinition, field: Field | None, places: Mapping[str, ColumnDefinition]
) -> ColumnDefinition:
    if field is None:
        return column
    kind = field.type.snowflake
    if (place := places.get(field.source)) is not None:
        return replace(
            column, snowflake=kind, target=place.target, holds=place.holds, base=place.base, shadow=place.shadow
        )  # fmt: skip
    return replace(column, snowflake=kind, target=field.target, holds=kind, base=field.target)
