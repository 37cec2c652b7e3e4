"""The DDL that targets need before rows can be loaded, determined with statements that change nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pgsnow.model.errors import SchemaChangePending, TargetMissing
from pgsnow.model.evolution.ddl_actions import TargetAction
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import KnownTarget, TargetName, TargetState
from pgsnow.snowflake.names import STAGE, quote, schema_of, text
from pgsnow.snowflake.query import count_rows
from pgsnow.snowflake.schema.evolve import evolution
from pgsnow.snowflake.schema.storage import clustering_changes
from pgsnow.snowflake.schema.target_table import (
    LOST,
    Shape,
    describe,
    refuse_other_kinds,
    require_database,
    schemas_of,
    target_state,
)
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import create_file_format


@dataclass(frozen=True, slots=True)
class TargetMark:
    """text: the end of the comment by which a target names its owner ("": not known). role: owner of a target that is
    not marked yet; only this role may write the mark."""

    text: str = ""
    role: str | None = None


class Owners(Protocol):
    """Knows the owners of targets."""

    def look(self, session: Session, plan: TablePlan) -> TargetMark:
        """The mark that a run gives the target. Raises NotTheOwner if it belongs to another owner."""


@dataclass(frozen=True, slots=True)
class RequiredDdl:
    """exists: the target exists. statements: the statements that a run would send to it first, in order. mark: that of
    its owner. marks_rows: it has a column for the time at which a row was marked as deleted."""

    exists: bool
    statements: tuple[str, ...]
    mark: TargetMark = TargetMark()
    marks_rows: bool = False
    clustering: tuple[str, ...] = ()
    """Statements that only `pgsnow apply` sends."""
    state: TargetState | None = None
    """The target as it is, if its storage was asked for."""


@dataclass(slots=True)
class TargetInspector:
    """Inspects many targets. Shared objects (a schema, its stage) are looked up once, and are created by the
    statements of the first target that needs them. A file format that alone is missing is not: loads do without it."""

    session: Session
    owners: Owners | None = None
    _schemas: dict[str, frozenset[str]] = field(default_factory=dict)
    _created: set[str] = field(default_factory=set)
    """Missing schemas whose CREATE statement was returned already."""
    _stages: set[str] = field(default_factory=set)
    """Schemas whose stage exists, or whose CREATE statement was returned already."""

    def required(
        self,
        plan: TablePlan,
        actions: Sequence[TargetAction] = (),
        *,
        relaxed: bool = False,
        mark: str = "",
        storage: bool = False,
    ) -> RequiredDdl:
        """The statements that a run would send now to execute the actions and to make the target fit. Sends none of
        them.

        relaxed: as in `Shape.alterations`. mark: of the owner, if `owners` is not set. storage: look up how an existing
        target is stored, if the configuration says how. Raises TargetConflict; TargetMissing if the database does not
        exist; NotTheOwner.
        """
        owned = self.owners.look(self.session, plan) if self.owners is not None else TargetMark(mark)
        shape = Shape.of(plan, owned.text)
        there = describe(self.session, plan.target)
        if there is None:
            statements = [*self._schema(plan.target), shape.create_table]
        else:
            refuse_other_kinds(self.session, plan.target)
            evolved = evolution(plan.target, actions, there)
            fit = shape.alterations(evolved.columns, relaxed=relaxed)
            statements = [change.statement for change in (*evolved.changes, *fit.changes)]
        marks_rows = any(column.name == DELETED_AT_COLUMN for column in there or ())
        stored = storage and there is not None and (plan.transient or plan.config.transient is not None)
        state = target_state(self.session, plan.target) if stored or (storage and plan.clustered) else None
        clustering = clustering_changes(plan, state) if state and there else ()
        statements += self._stage(plan.target)
        return RequiredDdl(there is not None, tuple(statements), owned, marks_rows, clustering, state)

    def difference(self, plan: TablePlan, known: KnownTarget, altered: Collection[str] = ()) -> str | None:
        """A sentence about why the target is not as it was after the last load, as the next run would find; None: it
        is, or there is none that the role sees. altered: columns that the run alters itself."""
        state = target_state(self.session, plan.target)
        if state is None:
            return None
        if known.rows not in (None, state.rows):
            state = replace(state, rows=count_rows(self.session, plan.target))
        loaded = {name: kind for name, kind in known.columns.items() if name not in altered}
        lost = Shape.of(plan).lost_columns(loaded, describe(self.session, plan.target) or ())
        return known.difference(state) or (LOST.format(", ".join(lost)) if lost else None)

    def sees_schema(self, target: TargetName) -> bool:
        """True if the target's schema exists and the role can see it."""
        if target.database not in self._schemas:
            self._schemas[target.database] = schemas_of(self.session, target.database)
        return target.schema in self._schemas[target.database]

    def _schema(self, target: TargetName) -> Iterator[str]:
        if not self.sees_schema(target) and schema_of(target) not in self._created:
            require_database(self.session, target)
            self._created.add(schema_of(target))
            yield sql.create_schema(target)

    def has_stage(self, target: TargetName) -> bool:
        """True if pgsnow's stage exists in the target's schema and the role can see it."""
        try:
            shown = self.session.execute(f"SHOW STAGES LIKE {text(STAGE)} IN SCHEMA {schema_of(target)}")
        except TargetMissing:
            return False
        return STAGE in shown.column("name")

    def _stage(self, target: TargetName) -> Iterator[str]:
        where = schema_of(target)
        if where in self._stages:
            return
        self._stages.add(where)
        if not self.has_stage(target):
            yield sql.create_stage(target)
            yield create_file_format(target)


def require_approval(table: str, statements: Sequence[str]) -> None:
    """With `schema_changes: manual`, only `pgsnow apply` may send DDL. Raises SchemaChangePending if there is any."""
    if statements:
        raise SchemaChangePending(f"{table}: the target needs {'; '.join(statements)}")


def use_warehouse(session: Session, name: str) -> None:
    """Raises TargetMissing or TargetAccessDenied if the role may not use it. Does not start it."""
    session.execute(f"USE WAREHOUSE {quote(name)}")
