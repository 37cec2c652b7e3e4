"""The target's shape: created when missing, widened when the source grew, refused when it cannot take the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.errors import TargetConflict, TargetMissing, TargetQueryFailed
from pgsnow.model.metadata_columns import FENCE, HASH_COLUMN, IDENTITY, MetadataColumn
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.snowflake_types import ColumnType, can_take
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as DESCRIBE TABLE tells it."""

    name: str
    kind: str
    required: bool
    """NOT NULL without a default."""
    computed: bool
    not_null: bool = False
    has_default: bool = False
    primary: bool = False
    """Of the primary key."""


def ensure_target(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    cached: Mapping[str, str] | None,
    own: Sequence[MetadataColumn] = (FENCE,),
    *,
    relaxed: bool = False,
    creating: Callable[[], None] = lambda: None,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Make the target fit for `output`: (its columns, name → type, and what was done, as sentences).

    Sends no statement when `cached` (what an earlier call returned) suffices. Otherwise schema, table and stage are
    created where missing and missing columns are added, without NOT NULL. Idempotent; any number of workers may do
    it at once. own: columns that pgsnow keeps for itself. relaxed: columns of a former key may be NULL from now on;
    `cached` is not asked. `creating` is called before a target that is not there is created, which is the last moment
    when that can be seen. Raises TargetConflict, naming all columns concerned, before anything is altered.
    """
    if not relaxed and cached is not None and suffices(cached, output, own):
        return dict(cached), ()
    there = describe(session, target)
    events: list[str] = []
    if there is None:
        creating()
        there = _create(session, target, output, key, own)
        events.append(created(target))
    if relaxed:
        there, loosened = _relax(session, target, there, key)
        events.extend(loosened)
    refuse_conflicts(target, there, output, key, own)
    events.extend(_add_missing(session, target, there, output, own))
    _create_stage(session, target)
    return _columns(there, output, own), tuple(events)


def created(target: TargetName) -> str:
    """The sentence of `ensure_target` that says that the target was not there."""
    return f"created table {target}"


def suffices(cached: Mapping[str, str], output: Iterable[Field], own: Iterable[MetadataColumn]) -> bool:
    """True if a target with these columns, name → type, needs none of the statements of `ensure_target`."""
    return all(column.name in cached for column in own) and all(
        f.target in cached and can_take(cached[f.target], f.type) for f in output
    )


def describe(session: Session, target: TargetName) -> list[TargetColumn] | None:
    """The columns that are there; None if the table is not."""
    try:
        result = session.execute(sql.describe_table(target))
    except TargetMissing:
        return None
    told = zip(
        result.column("name"),
        result.column("type"),
        result.column("kind"),
        result.column("null?"),
        result.column("default"),
        result.column("primary key"),
        strict=True,
    )
    return [
        TargetColumn(
            name,
            kind,
            required=null == "N" and default is None,
            computed=role != "COLUMN",
            not_null=null == "N",
            has_default=default is not None,
            primary=primary == "Y",
        )
        for name, kind, role, null, default, primary in told
    ]


def _create(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    own: Sequence[MetadataColumn],
) -> list[TargetColumn]:
    """The schema only when the table cannot be had without it: a role may own a schema and not be allowed another."""
    table = sql.create_table(target, output, key, own)
    try:
        session.execute(table)
    except TargetMissing:
        session.execute(sql.create_schema(target))
        session.execute(table)
    return describe(session, target) or []


def relaxing(
    target: TargetName, there: Sequence[TargetColumn], key: Sequence[Field]
) -> tuple[tuple[str, ...], tuple[TargetColumn, ...]]:
    """The statements after which columns that are not of the key (any more) may be NULL, and the columns then.
    A primary key keeps its columns NOT NULL."""
    keys = {field.target for field in key}
    bound = [column for column in there if column.not_null and column.name not in keys]
    statements = [sql.drop_primary_key(target)] if any(column.primary for column in bound) else []
    statements += [sql.drop_not_null(target, column.name) for column in bound]
    kept = [replace(c, required=False, not_null=False, primary=False) if c in bound else c for c in there]
    return tuple(statements), tuple(kept)


def _relax(
    session: Session, target: TargetName, there: Sequence[TargetColumn], key: Sequence[Field]
) -> tuple[list[TargetColumn], list[str]]:
    statements, kept = relaxing(target, there, key)
    for statement in statements:
        session.execute(statement)
    loosened = [before.name for before, after in zip(there, kept, strict=True) if before is not after]
    return list(kept), [f"column {name} of {target} may be NULL now" for name in loosened]


def _create_stage(session: Session, target: TargetName) -> None:
    """Two tables of one schema may create its stage at the same moment: who comes second finds it when asking again."""
    statement = sql.create_stage(target)
    try:
        session.execute(statement)
    except TargetQueryFailed:
        session.execute(statement)


def refuse_conflicts(
    target: TargetName,
    there: Sequence[TargetColumn],
    output: Sequence[Field],
    key: Sequence[Field],
    own: Sequence[MetadataColumn] = (FENCE,),
) -> None:
    """Raises TargetConflict unless these columns, with the missing ones added, can take the output."""
    known = {column.name: column for column in there}
    folded = {column.name.upper(): column.name for column in there}
    keys = {field.target for field in key}
    problems = [
        problem
        for field in output
        if (problem := _problem(field, known.get(field.target), folded.get(field.target.upper()), keys))
    ]
    problems += [
        f"column {name} is {known[name].kind}; pgsnow keeps {kind} in it"
        for name, kind in own
        if name in known and not _keeps(known[name].kind, kind)
    ]
    if any(column in own and column.name not in known for column in IDENTITY):
        problems.append(
            f"there is no column {HASH_COLUMN}, by which rows that are there are known; let pgsnow create the table"
        )
    filled = {field.target for field in output} | {column.name for column in own}
    problems += [
        f"column {column.name} is NOT NULL, has no default, and nothing in the source fills it"
        for column in there
        if column.required and column.name not in filled
    ]
    if problems:
        raise TargetConflict(f"{target}: {'; '.join(problems)}")


def _keeps(there: str, kind: str) -> bool:
    have, need = ColumnType.parse(there), ColumnType.parse(kind)
    return have.family == need.family if need.family in ("VARCHAR", "TIMESTAMP_TZ") else have == need


def _problem(field: Field, column: TargetColumn | None, alike: str | None, keys: set[str]) -> str | None:
    if column is None:
        if alike is not None:
            return f"column {field.target} would differ from {alike} in case alone"
        if field.target in keys:
            return f"there is no column {field.target}, which is of the key"
        return None
    if column.computed:
        return f"column {column.name} is computed and cannot be written"
    if not can_take(column.kind, field.type):
        need = f"{field.type.postgres} (needs {field.type.snowflake})"
        return f"column {column.name} is {column.kind} and cannot take {field.source}, which is {need}"
    return None


def _add_missing(
    session: Session,
    target: TargetName,
    there: Sequence[TargetColumn],
    output: Sequence[Field],
    own: Sequence[MetadataColumn],
) -> list[str]:
    known = {column.name for column in there}
    wanted = [*((field.target, field.type.snowflake) for field in output), *own]
    events = []
    for name, kind in wanted:
        if name not in known:
            session.execute(sql.add_column(target, name, kind))
            events.append(f"added column {name} {kind} to {target}")
    return events


def _columns(
    there: Iterable[TargetColumn], output: Iterable[Field], own: Iterable[MetadataColumn]
) -> dict[str, str]:
    wanted = {field.target: field.type.snowflake for field in output} | dict(own)
    return wanted | {column.name: column.kind for column in there}
