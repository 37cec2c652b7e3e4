"""What would be done to a target, and whether it can be: asked with statements that change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pgsnow.model.errors import TargetMissing
from pgsnow.model.evolution.ddl_actions import TargetAction
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import STAGE
from pgsnow.snowflake.quoting import quote, schema_of, text
from pgsnow.snowflake.schema.evolve import outlook
from pgsnow.snowflake.schema.target_table import describe, refuse_conflicts, relaxing
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """there: the target is. statements: what it needs first, in order."""

    there: bool
    statements: tuple[str, ...]


@dataclass(slots=True)
class DryRun:
    """Looks at many targets. What they share (a schema, its stage) is asked once, and told with the first that
    needs it."""

    session: Session
    _schemas: dict[str, frozenset[str]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    """Schemas that are not there, and whose statement was told."""
    _stages: set[str] = field(default_factory=set)
    """Schemas whose stage is there, or was told."""

    def target(
        self, plan: TablePlan, actions: Sequence[TargetAction] = (), *, relaxed: bool = False
    ) -> DryRunResult:
        """What `evolve` (these actions) and then `ensure_target` would send now; sends none of it.

        Raises TargetConflict.
        """
        target, own = plan.target, plan.metadata_columns
        there = describe(self.session, target)
        if there is None:
            statements = [*self._schema(target), sql.create_table(target, plan.output, plan.target_key, own)]
        else:
            evolved = outlook(target, actions, there)
            loosening: tuple[str, ...] = ()
            columns = evolved.columns
            if relaxed:
                loosening, columns = relaxing(target, columns, plan.target_key)
            refuse_conflicts(target, columns, plan.output, plan.target_key, own)
            known = {column.name for column in columns}
            wanted = [*((f.target, f.type.snowflake) for f in plan.output), *own]
            missing = [sql.add_column(target, name, kind) for name, kind in wanted if name not in known]
            statements = [*evolved.statements, *loosening, *missing]
        return DryRunResult(there is not None, (*statements, *self._stage(target)))

    def _schema(self, target: TargetName) -> Iterator[str]:
        if not self.saw_schema(target) and schema_of(target) not in self._told:
            self._told.add(schema_of(target))
            yield sql.create_schema(target)

    def _stage(self, target: TargetName) -> Iterator[str]:
        if not self._has_stage(target):
            yield sql.create_stage(target)

    def saw_schema(self, target: TargetName) -> bool:
        """The target's schema is there, and the role may see it."""
        if target.database not in self._schemas:
            self._schemas[target.database] = schemas_of(self.session, target.database)
        return target.schema in self._schemas[target.database]

    def _has_stage(self, target: TargetName) -> bool:
        where = schema_of(target)
        if where in self._stages:
            return True
        self._stages.add(where)
        try:
            shown = self.session.execute(f"SHOW STAGES LIKE {text(STAGE)} IN SCHEMA {where}")
        except TargetMissing:
            return False
        return STAGE in shown.column("name")


def schemas_of(session: Session, database: str) -> frozenset[str]:
    """The schemas that the role may see; empty if there is no such database (every one has INFORMATION_SCHEMA)."""
    try:
        return frozenset(session.execute(f"SHOW SCHEMAS IN DATABASE {quote(database)}").column("name"))
    except TargetMissing:
        return frozenset()


def use_warehouse(session: Session, name: str) -> None:
    """Raises TargetMissing, TargetAccessDenied if the role may not use it. Does not start it."""
    session.execute(f"USE WAREHOUSE {quote(name)}")
