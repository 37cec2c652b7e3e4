"""The target's shape: created when missing, widened when the source grew, refused when it cannot take the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgsnow.model.column_types import ColumnType, can_take
from pgsnow.model.errors import TargetConflict, TargetMissing, TargetQueryFailed
from pgsnow.model.plan import FENCE_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.typemap import Field
from pgsnow.snowflake import sql
from pgsnow.snowflake.connection import Session


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as DESCRIBE TABLE tells it."""

    name: str
    kind: str
    required: bool
    """NOT NULL without a default."""
    computed: bool


def ensure_target(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    cached: Mapping[str, str] | None,
    creating: Callable[[], None] = lambda: None,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Make the target fit for `output`: (its columns, name → type, and what was done, as sentences).

    Sends no statement when `cached` (what an earlier call returned) suffices. Otherwise schema, table and stage are
    created where missing and missing columns are added, without NOT NULL. Idempotent; any number of workers may do
    it at once. `creating` is called before a target that is not there is created, which is the last moment when that
    can be seen. Raises TargetConflict, naming all columns concerned, before anything is altered.
    """
    if cached is not None and suffices(cached, output):
        return dict(cached), ()
    there = describe(session, target)
    events: list[str] = []
    if there is None:
        creating()
        there = _create(session, target, output, key)
        events.append(created(target))
    refuse_conflicts(target, there, output, key)
    events.extend(_add_missing(session, target, there, output))
    _create_stage(session, target)
    return _columns(there, output), tuple(events)


def created(target: TargetName) -> str:
    """The sentence of `ensure_target` that says that the target was not there."""
    return f"created table {target}"


def suffices(cached: Mapping[str, str], output: Iterable[Field]) -> bool:
    return FENCE_COLUMN in cached and all(
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
        strict=True,
    )
    return [
        TargetColumn(name, kind, required=null == "N" and default is None, computed=role != "COLUMN")
        for name, kind, role, null, default in told
    ]


def _create(
    session: Session, target: TargetName, output: tuple[Field, ...], key: tuple[Field, ...]
) -> list[TargetColumn]:
    """The schema only when the table cannot be had without it: a role may own a schema and not be allowed another."""
    table = sql.create_table(target, output, key)
    try:
        session.execute(table)
    except TargetMissing:
        session.execute(sql.create_schema(target))
        session.execute(table)
    return describe(session, target) or []


def _create_stage(session: Session, target: TargetName) -> None:
    """Two tables of one schema may create its stage at the same moment: who comes second finds it when asking again."""
    statement = sql.create_stage(target)
    try:
        session.execute(statement)
    except TargetQueryFailed:
        session.execute(statement)


def refuse_conflicts(
    target: TargetName, there: Sequence[TargetColumn], output: Sequence[Field], key: Sequence[Field]
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
    fence = known.get(FENCE_COLUMN)
    if fence is not None and ColumnType.parse(fence.kind) != ColumnType.parse(sql.FENCE_TYPE):
        problems.append(f"column {FENCE_COLUMN} is {fence.kind}; pgsnow keeps {sql.FENCE_TYPE} in it")
    filled = {field.target for field in output} | {FENCE_COLUMN}
    problems += [
        f"column {column.name} is NOT NULL, has no default, and nothing in the source fills it"
        for column in there
        if column.required and column.name not in filled
    ]
    if problems:
        raise TargetConflict(f"{target}: {'; '.join(problems)}")


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
    session: Session, target: TargetName, there: Sequence[TargetColumn], output: Sequence[Field]
) -> list[str]:
    known = {column.name for column in there}
    wanted = [(field.target, field.type.snowflake) for field in output] + [(FENCE_COLUMN, sql.FENCE_TYPE)]
    events = []
    for name, kind in wanted:
        if name not in known:
            session.execute(sql.add_column(target, name, kind))
            events.append(f"added column {name} {kind} to {target}")
    return events


def _columns(there: Iterable[TargetColumn], output: Iterable[Field]) -> dict[str, str]:
    wanted = {field.target: field.type.snowflake for field in output} | {FENCE_COLUMN: sql.FENCE_TYPE}
    return wanted | {column.name: column.kind for column in there}
