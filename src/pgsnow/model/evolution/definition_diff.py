"""Changes of a source table's definition, column by column, and which of them make loaded rows out of date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.config.fingerprint import config_fingerprint
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column, Leaf, SourceTable
from pgsnow.model.types.mapping import Field


@dataclass(frozen=True, slots=True)
class Change:
    """One change. kind: added, dropped, renamed, type, not null, labels, generation, conversion, key, key form,
    re-created, attached, detached, rewritten, or target (of the target alone). column: its current name, or its last
    one.

    outdates: True if rows loaded before may have other values now although nothing wrote them.
    """

    kind: str
    column: str | None
    text: str
    outdates: bool = False
    former: str = ""
    """The former name of a renamed column."""


Pair = tuple[ColumnDefinition, Column]


def match_columns(stored_definition: SourceDefinition, source: SourceTable) -> list[Pair]:
    """Each stored column with its current one: by number in the same table, by name in a re-created one."""
    if stored_definition.oid == source.oid:
        now = {column.attnum: column for column in source.columns}
        return [(stored, now[stored.attnum]) for stored in stored_definition.columns if stored.attnum in now]
    named = {column.name: column for column in source.columns}
    return [
        (stored, named[stored.name])
        for stored in stored_definition.columns
        if stored.attnum is not None and stored.name in named
    ]


def changes_of(stored_definition: SourceDefinition, plan: TablePlan) -> tuple[Change, ...]:
    """Every change since the definition was stored: those of the table first, then column by column."""
    source, pairs = plan.source, match_columns(stored_definition, plan.source)
    return (
        *_table_changes(stored_definition, source),
        *_key_changes(stored_definition, plan, pairs),
        *_column_changes(stored_definition, plan, pairs),
    )


def is_rewritten(stored_definition: SourceDefinition, source: SourceTable) -> bool:
    """True if the table, or a partition that it still has, has other storage now. Attached and detached partitions do
    not count."""
    if stored_definition.oid != source.oid:
        return False
    before = {leaf.oid: leaf.filenode for leaf in stored_definition.leaves}
    same = [leaf for leaf in source.leaves if leaf.oid in before]
    if len(same) == len(before) == len(source.leaves):
        return stored_definition.filenode != source.filenode
    return any(leaf.filenode != before[leaf.oid] for leaf in same)


def leaf_changes(
    stored_definition: SourceDefinition, source: SourceTable
) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """(attached, detached) since the definition was stored."""
    before = {leaf.oid for leaf in stored_definition.leaves}
    now = {leaf.oid for leaf in source.leaves}
    return (
        tuple(leaf for leaf in source.leaves if leaf.oid not in before),
        tuple(leaf for leaf in stored_definition.leaves if leaf.oid not in now),
    )


def _table_changes(stored_definition: SourceDefinition, source: SourceTable) -> Iterator[Change]:
    if stored_definition.oid != source.oid:
        text = f"{source.name} is another table now: re-created, or another one was renamed to its name"
        yield Change("re-created", None, text, outdates=True)
        return
    attached, detached = leaf_changes(stored_definition, source)
    for leaf in attached:
        yield Change("attached", None, f"{leaf.name} was attached: all of its rows are read")
    for leaf in detached:
        yield Change("detached", None, f"{leaf.name} was detached or dropped")


def _key_changes(
    stored_definition: SourceDefinition, plan: TablePlan, pairs: Sequence[Pair]
) -> Iterator[Change]:
    now_called = {stored.name: column.name for stored, column in pairs}
    before = [now_called.get(name, name) for name in stored_definition.key]
    now = [field.source for field in plan.key]
    if set(before) != set(now):
        text = f"the key was [{', '.join(stored_definition.key)}] and is [{', '.join(now)}]"
        yield Change("key", None, text, outdates=True)


def _column_changes(
    stored_definition: SourceDefinition, plan: TablePlan, pairs: Sequence[Pair]
) -> Iterator[Change]:
    fields = {field.source: field for field in plan.fields}
    types = {field.source: field.type.snowflake for field in plan.output}
    rewritten = is_rewritten(stored_definition, plan.source)
    configured = {now: name for name, now in plan.followed}
    present = {stored.name for stored, _ in pairs}
    for stored in stored_definition.columns:
        if stored.attnum is not None and stored.name not in present:
            yield _dropped(stored, plan)
    for stored, column in pairs:
        if stored.name != column.name:
            text = f"column {stored.name} was renamed to {column.name}"
            if column.name in configured:
                text += f"; {followed_note(configured[column.name], column.name)}"
            yield Change("renamed", column.name, text, former=stored.name)
        if stored.is_read and (field := fields.get(column.name)) is not None:
            yield from _changes_within(stored, column, types.get(column.name, stored.snowflake), rewritten)
            if stored.conversion != field.type.conversion:
                yield _conversion_changed(column, field)
    paired = {column.name for _, column in pairs}
    for column in plan.source.columns:
        if column.name not in paired:
            yield _added(column, fields.get(column.name), rewritten)


def _dropped(stored: ColumnDefinition, plan: TablePlan) -> Change:
    note = f"; {clustering_note(stored.name)}" if stored.name in plan.dropped_clustering else ""
    return Change("dropped", stored.name, f"column {stored.name} was dropped{note}")


def _added(column: Column, field: Field | None, rewritten: bool) -> Change:
    text = f"column {column.name} {column.type_text}".rstrip() + " was added"
    if field is None:
        return Change("added", column.name, f"{text}; the configuration leaves it out")
    filled = column.has_default or column.has_missing or column.generation is not None or rewritten
    return Change("added", column.name, text, outdates=filled)


def _changes_within(
    stored: ColumnDefinition, column: Column, snowflake: str, rewritten: bool
) -> Iterator[Change]:
    if stored.type_text != column.type_text or stored.snowflake != snowflake:
        yield _type_changed(stored, column, snowflake, rewritten)
    if stored.not_null != column.not_null:
        text = "may not be NULL any more" if column.not_null else "may be NULL now"
        yield Change("not null", column.name, f"column {column.name} {text}")
    if stored.labels and stored.labels != column.labels and stored.type_text == column.type_text:
        yield _labels_changed(stored, column)
    if stored.generation != column.generation:
        outdates = column.generation is not None
        yield Change(
            "generation", column.name, f"column {column.name} is computed in another way", outdates=outdates
        )


def _conversion_changed(column: Column, field: Field) -> Change:
    """The values that are in the target have the form of another version, or of another option."""
    form = field.type.conversion or "as Postgres stores it"
    text = f"column {column.name} is loaded in another form: {form}"
    return Change("key form" if field.key else "conversion", column.name, text, outdates=True)


def _type_changed(stored: ColumnDefinition, column: Column, snowflake: str, rewritten: bool) -> Change:
    was, is_now = stored.type_text or stored.snowflake, column.type_text or snowflake
    if was == is_now:
        was, is_now = stored.snowflake, snowflake
    text = f"column {column.name} was {was} and is {is_now}"
    return Change("type", column.name, text, outdates=rewritten)


def _labels_changed(stored: ColumnDefinition, column: Column) -> Change:
    if column.kind != "c" and _is_subsequence(stored.labels, column.labels):
        new = ", ".join(label for label in column.labels if label not in stored.labels)
        return Change("labels", column.name, f"column {column.name} has new labels: {new}")
    text = f"the labels or attributes of column {column.name} were changed"
    return Change("labels", column.name, text, outdates=True)


def _is_subsequence(few: Sequence[str], many: Iterable[str]) -> bool:
    """True if `few` is `many` with some left out: labels were only added."""
    rest = iter(many)
    return all(label in rest for label in few)


def followed_note(name: str, now: str) -> str:
    """A sentence for people about a column that is followed."""
    return f"{name} in sync_config.yaml is taken for {now}: write {now} there"


def clustering_note(name: str) -> str:
    """A sentence for people about a dropped column that `cluster_by` names."""
    return f"the target stays clustered by it and keeps it, until cluster_by in sync_config.yaml names {name} no longer"


def definition_of(plan: TablePlan, placed: Mapping[str, ColumnDefinition] | None = None) -> SourceDefinition:
    """The definition to store once the plan's output is in place.

    placed: by source column, where the target holds it, if that is not simply the plan's own column.
    """
    source, placed = plan.source, placed or {}
    output = {field.source: field for field in plan.output}
    configured = {now: name for name, now in plan.followed}
    read = {field.source: field.type.conversion for field in plan.fields}
    columns = [
        _placed(
            ColumnDefinition(
                c.attnum, c.name, c.type_text, not_null=c.not_null, labels=c.labels,
                generation=c.generation, is_read=c.name in read, conversion=read.get(c.name, ""),
                configured=configured.get(c.name, ""),
            ),
            output.get(c.name), placed,
        )
        for c in source.columns
    ]  # fmt: skip
    columns += [_placed(ColumnDefinition(None, f.source), f, placed) for f in plan.output if f.computed]
    return SourceDefinition(
        oid=source.oid,
        name=str(source.name),
        relkind=source.relkind,
        target=str(plan.target),
        key=tuple(field.source for field in plan.key),
        filenode=source.filenode,
        leaves=source.leaves,
        columns=tuple(columns),
        config_fingerprint=tuple(config_fingerprint(plan.as_written).items()),
    )


def _placed(
    column: ColumnDefinition, field: Field | None, placed: Mapping[str, ColumnDefinition]
) -> ColumnDefinition:
    if field is None:
        return column
    kind = field.type.snowflake
    if (at := placed.get(field.source)) is not None:
        return replace(
            column, snowflake=kind, target=at.target, holds=at.holds, base=at.base, shadow=at.shadow
        )  # fmt: skip
    return replace(column, snowflake=kind, target=field.target, holds=kind, base=field.target)
