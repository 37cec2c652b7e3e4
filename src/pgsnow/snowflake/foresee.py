"""What would be done to a target, and whether it can be: asked with statements that change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.errors import TargetMissing
from pgsnow.model.own_columns import FENCE, OwnColumn
from pgsnow.model.table import TargetName
from pgsnow.model.typemap import Field
from pgsnow.snowflake import sql
from pgsnow.snowflake.connection import Session
from pgsnow.snowflake.names import STAGE
from pgsnow.snowflake.quoting import quote, schema_of, text
from pgsnow.snowflake.schema import describe, refuse_conflicts


def foresee_target(
    session: Session,
    target: TargetName,
    output: Sequence[Field],
    key: Sequence[Field],
    own: Sequence[OwnColumn] = (FENCE,),
) -> tuple[str, ...]:
    """The statements that `ensure_target` would have to send, in order; sends none of them.

    Raises TargetConflict.
    """
    there = describe(session, target)
    statements = []
    if there is None:
        if target.schema not in schemas_of(session, target.database):
            statements.append(sql.create_schema(target))
        statements.append(sql.create_table(target, output, key, own))
    else:
        refuse_conflicts(target, there, output, key, own)
        known = {column.name for column in there}
        wanted = [*((field.target, field.type.snowflake) for field in output), *own]
        statements += [sql.add_column(target, name, kind) for name, kind in wanted if name not in known]
    if not _has_stage(session, target):
        statements.append(sql.create_stage(target))
    return tuple(statements)


def schemas_of(session: Session, database: str) -> frozenset[str]:
    """The schemas that the role may see; empty if there is no such database (every one has INFORMATION_SCHEMA)."""
    try:
        return frozenset(session.execute(f"SHOW SCHEMAS IN DATABASE {quote(database)}").column("name"))
    except TargetMissing:
        return frozenset()


def use_warehouse(session: Session, name: str) -> None:
    """Raises TargetMissing, TargetAccessDenied if the role may not use it. Does not start it."""
    session.execute(f"USE WAREHOUSE {quote(name)}")


def current_role(session: Session) -> str:
    """The role of the session."""
    [[role]] = session.execute("SELECT CURRENT_ROLE()").rows
    return str(role)


def grants_of(session: Session, role: str) -> list[tuple[str, str, str]]:
    """(privilege, kind of object, its name) of each grant to the role itself, those it inherits left out.

    Snowflake docs, "SHOW GRANTS". Raises TargetQueryFailed where they cannot be told.
    """
    result = session.execute(f"SHOW GRANTS TO ROLE {quote(role)}")
    told = (result.column(name) for name in ("privilege", "granted_on", "name"))
    return list(zip(*told, strict=True))


def _has_stage(session: Session, target: TargetName) -> bool:
    statement = f"SHOW STAGES LIKE {text(STAGE)} IN SCHEMA {schema_of(target)}"
    try:
        return STAGE in session.execute(statement).column("name")
    except TargetMissing:
        return False
