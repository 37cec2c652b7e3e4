"""The target's shape: created if missing, widened if the source's types grew, rejected if it cannot hold the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

from pgsnow.model.errors import TargetConflict, TargetMissing
from pgsnow.model.metadata_columns import FENCE, HASH_COLUMN, IDENTITY, MetadataColumn
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName, TargetState
from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.model.types.snowflake_types import ColumnType, can_take, is_wider
from pgsnow.snowflake.names import quote
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql

TABLES = frozenset({"TABLE", "TRANSIENT", "TEMPORARY", "HYBRID TABLE", "ICEBERG TABLE"})
"""Kinds of objects, as SHOW OBJECTS names them, into which rows can be loaded."""
OTHER_TABLES = ("DYNAMIC", "EXTERNAL", "EVENT")
"""Kinds of tables that SHOW marks in a column `is_…`, and that only Snowflake itself fills."""

LOST = "{} of the target was dropped or altered"
"""Why everything is read again: these columns have lost their values."""


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as DESCRIBE TABLE shows it."""

    name: str
    kind: str
    required: bool
    """NOT NULL without a default."""
    computed: bool
    not_null: bool = False
    has_default: bool = False
    primary: bool = False
    """True if the column belongs to the primary key."""


@dataclass(frozen=True, slots=True)
class DdlChange:
    """A DDL statement, and the sentence that reports it after execution ("": it is not reported)."""

    statement: str
    event: str


@dataclass(frozen=True, slots=True)
class Alterations:
    """changes: the statements that make a target fit, in order. columns: the target's columns afterwards."""

    changes: tuple[DdlChange, ...]
    columns: tuple[TargetColumn, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape that a target must have to be loaded. own: pgsnow's metadata columns. comment, transient, clustered: of
    a new one."""

    target: TargetName
    output: tuple[Field, ...]
    key: tuple[Field, ...]
    own: tuple[MetadataColumn, ...] = (FENCE,)
    comment: str = ""
    transient: bool = False
    clustered: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: TablePlan, comment: str = "") -> Shape:
        own, transient, clustered = plan.metadata_columns, plan.transient, plan.clustered
        return cls(plan.target, plan.output, plan.target_key, own, comment, transient, clustered)

    @property
    def create_table(self) -> str:
        return sql.create_table(
            self.target, self.output, self.key, self.own, self.comment,
            transient=self.transient, clustered=self.clustered,
        )  # fmt: skip

    @property
    def new_columns(self) -> dict[str, str]:
        """The columns of a target that `create_table` has just made, name → type as DESCRIBE TABLE shows it."""
        shown = {
            "VARCHAR": f"VARCHAR({TEXT_LIMIT})",
            "BINARY": f"BINARY({BINARY_LIMIT})",
            "TIMESTAMP_TZ": "TIMESTAMP_TZ(9)",
        }
        return {name: shown.get(kind, kind) for name, kind in self.columns(()).items()}

    def suffices(self, columns: Mapping[str, str]) -> bool:
        """True if a target with these columns, name → type, needs no statement."""
        return all(column.name in columns for column in self.own) and all(
            f.target in columns and can_take(columns[f.target], f.type) for f in self.output
        )

    def alterations(self, there: Sequence[TargetColumn], *, relaxed: bool = False) -> Alterations:
        """The changes that a target with these columns needs: missing columns are added, without NOT NULL. Pure.

        relaxed: columns of a former key must accept NULL from now on. Raises TargetConflict, naming all columns
        concerned.
        """
        loosened: tuple[DdlChange, ...] = ()
        if relaxed:
            loosened, there = relaxing(self.target, there, self.key)
        refuse_conflicts(self.target, there, self.output, self.key, self.own)
        known = {column.name for column in there}
        wanted = [*((field.target, field.type.snowflake) for field in self.output), *self.own]
        added = [
            DdlChange(sql.add_column(self.target, name, kind), f"added column {name} {kind} to {self.target}")
            for name, kind in wanted
            if name not in known
        ]
        return Alterations((*loosened, *added), tuple(there))

    def lost_columns(self, loaded: Mapping[str, str], there: Sequence[TargetColumn]) -> list[str]:
        """Columns that have lost their values: they were loaded, and are gone or of a narrower type. Columns that are
        loaded no longer do not count."""
        kinds = {column.name: column.kind for column in there}
        wanted = {field.target for field in self.output} | {column.name for column in self.own}
        return [
            name
            for name, kind in loaded.items()
            if name in wanted and not (name in kinds and is_wider(kinds[name], kind))
        ]

    def columns(self, there: Iterable[TargetColumn]) -> dict[str, str]:
        """The target's columns, name → type, once it is fit."""
        wanted = {field.target: field.type.snowflake for field in self.output} | dict(self.own)
        return wanted | {column.name: column.kind for column in there}


def make_fit(
    session: Session, shape: Shape, there: Sequence[TargetColumn], *, relaxed: bool = False
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Make an existing target fit: (its columns, name → type; sentences about what was done).

    there: the current result of `describe`. Columns are altered as `Shape.alterations` says. Idempotent, and safe for
    several workers at once. Raises TargetConflict before any change, and what Session.execute raises.
    """
    fit = shape.alterations(there, relaxed=relaxed)
    for change in fit.changes:
        session.execute(change.statement)
    return shape.columns(fit.columns), tuple(change.event for change in fit.changes if change.event)


def describe(session: Session, target: TargetName) -> list[TargetColumn] | None:
    """The existing columns; None if the table does not exist."""
    try:
        result = session.execute(sql.describe_table(target))
    except TargetMissing:
        return None
    described = zip(
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
        for name, kind, role, null, default, primary in described
    ]


def target_state(session: Session, target: TargetName) -> TargetState | None:
    """The target as it is now; None: there is no such table (a view is none), or the role has no privilege on it, or on
    its schema. Needs no warehouse."""
    try:
        return state_in_schema(session, target)
    except TargetMissing:
        return None


def state_in_schema(session: Session, target: TargetName) -> TargetState | None:
    """Like `target_state`, but raises TargetMissing if the schema does not exist, or the role cannot see it."""
    return _shown(session, sql.show_table(target)).get(target.table)


def states_in(session: Session, target: TargetName) -> dict[str, TargetState]:
    """The tables of the target's schema that the role can see, by name; 10,000 at most. Needs no warehouse. Raises
    TargetMissing as `state_in_schema` does."""
    return _shown(session, sql.show_tables(target))


def _shown(session: Session, statement: str) -> dict[str, TargetState]:
    shown = session.execute(statement)
    names = ("name", "created_on", "rows", "comment", "kind", "owner", "cluster_by")
    return {
        name: TargetState(
            created_on.astimezone(UTC).isoformat(),
            None if rows is None else int(rows),
            comment or "",
            kind,
            owner or "",
            key or "",
        )
        for name, created_on, rows, comment, kind, owner, key in zip(*map(shown.column, names), strict=True)
    }


def refuse_other_kinds(session: Session, target: TargetName) -> None:
    """Raises TargetConflict if the target, which exists, is no table into which rows can be written: a view of any
    kind, a dynamic, an external or an event table. DESCRIBE TABLE shows them like tables (Snowflake docs, "DESCRIBE
    TABLE", "SHOW OBJECTS")."""
    shown = session.execute(sql.show_object(target))
    for at, name in enumerate(shown.column("name")):
        if name != target.table:
            continue
        kind = str(shown.column("kind")[at]).upper().replace("_", " ")
        marks = [mark for mark in OTHER_TABLES if "Y" in shown.column(f"is_{mark.lower()}")[at : at + 1]]
        if kind in TABLES and not marks:
            return
        found = f"{marks[0]} TABLE" if marks else kind
        article = "an" if found[0] in "AEIOU" else "a"
        raise TargetConflict(
            f"{target} is {article} {found.lower()}, into which no rows can be loaded",
            advice="Name another target in sync_config.yaml, or rename or drop that object; then run"
            " `pgsnow run --select` with this table, which creates the table.",
        )


def require_database(session: Session, target: TargetName) -> None:
    """Raises TargetMissing if the target's database does not exist, or the role cannot see it."""
    if not schemas_of(session, target.database):
        database = quote(target.database)
        raise TargetMissing(
            f"{target}: there is no database {target.database}, or the role may not see it",
            advice=f"Correct `target:` in sync_config.yaml, or: CREATE DATABASE {database};"
            f" GRANT USAGE, CREATE SCHEMA ON DATABASE {database} TO the role in SNOWFLAKE_ROLE.",
        )


def schemas_of(session: Session, database: str) -> frozenset[str]:
    """The schemas that the role can see; empty if the database does not exist (every one has INFORMATION_SCHEMA)."""
    try:
        return frozenset(session.execute(f"SHOW SCHEMAS IN DATABASE {quote(database)}").column("name"))
    except TargetMissing:
        return frozenset()


def relaxing(
    target: TargetName, there: Sequence[TargetColumn], key: Sequence[Field]
) -> tuple[tuple[DdlChange, ...], tuple[TargetColumn, ...]]:
    """The changes after which columns outside the key accept NULL, and the columns afterwards. A primary key keeps
    its columns NOT NULL, so it is dropped first."""
    keys = {field.target for field in key}
    bound = [column for column in there if column.not_null and column.name not in keys]
    changes = [
        DdlChange(sql.drop_not_null(target, c.name), f"column {c.name} of {target} may be NULL now")
        for c in bound
    ]
    if any(column.primary for column in bound):
        changes.insert(0, DdlChange(sql.drop_primary_key(target), ""))
    kept = [replace(c, required=False, not_null=False, primary=False) if c in bound else c for c in there]
    return tuple(changes), tuple(kept)


def refuse_conflicts(
    target: TargetName,
    there: Sequence[TargetColumn],
    output: Sequence[Field],
    key: Sequence[Field],
    own: Sequence[MetadataColumn] = (FENCE,),
) -> None:
    """Raises TargetConflict unless these columns, with the missing ones added, can hold the output."""
    known = {column.name: column for column in there}
    folded = {column.name.upper(): column.name for column in there}
    keys = {field.target for field in key}
    problems = [
        problem
        for field in output
        if (problem := _problem(field, known.get(field.target), folded.get(field.target.upper()), keys))
    ]
    problems += [
        f"column {name} is {known[name].kind}; pgsnow stores {kind} in it"
        for name, kind in own
        if name in known and not _keeps(known[name].kind, kind)
    ]
    problems += [
        f"column {folded[name]} differs from {name}, in which pgsnow stores {kind}, in case alone"
        for name, kind in own
        if name not in known and name in folded
    ]
    if any(column in own and column.name not in known for column in IDENTITY):
        problems.append(
            f"there is no column {HASH_COLUMN}, which identifies existing rows; let pgsnow create the table"
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
            return f"there is no column {field.target}, which belongs to the key"
        return None
    if column.computed:
        return f"column {column.name} is computed and cannot be written"
    if field.target in keys and (collation := ColumnType.parse(column.kind).collation):
        return (
            f"column {column.name} belongs to the key and has the collation '{collation}', by which different keys"
            " may be equal; create the column without it"
        )
    if not can_take(column.kind, field.type):
        need = f"{field.type.postgres} (needs {field.type.snowflake})"
        return f"column {column.name} is {column.kind} and cannot take {field.source}, which is {need}"
    return None
