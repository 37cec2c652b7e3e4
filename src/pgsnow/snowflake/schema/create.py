"""Creates what a target needs and does not have: its schema, the table itself, its stage, a shadow table.

Error 2003 says that an object does not exist or that the role may not use it. Only a CREATE without IF NOT EXISTS tells
which: it succeeds if the object did not exist, and fails if it does (003041 in the second case).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pgsnow.model.errors import (
    AccessDenied,
    TargetAccessDenied,
    TargetConflict,
    TargetMissing,
    TargetQueryFailed,
)
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import file_format_of, schema_of, stage_of
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.schema.target_table import (
    Shape,
    describe,
    refuse_other_kinds,
    require_database,
    target_state,
)
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql

EXISTS_ALREADY = "2002"
ADVICE = (
    "Nothing was forgotten. Give SNOWFLAKE_ROLE its privileges back (`pgsnow check` prints the statements): the next"
    " run then goes on where the last one ended. If the database itself is gone, create it."
)


def create(session: Session, shape: Shape, made: SchemaObjects, no_schema: float | None = None) -> bool:
    """Create the target, which the role does not see; False: another session has created it in the meantime.

    made: what the process has created in schemas. no_schema: the role has not seen the target's schema at some moment
    since then (monotonic seconds). Otherwise the schema is created only if creating the table fails: a role may own a
    schema without the right to create one.

    Raises TargetAccessDenied if the target exists and the role may not see it, or may not create it; TargetMissing if
    there is no such database; TargetConflict if its name belongs to something else.
    """
    try:
        return _create(session, shape, made, no_schema)
    except AccessDenied as denied:
        raise _hidden(shape.target, denied) from denied
    except TargetMissing:
        raise
    except TargetQueryFailed as refused:
        if refused.code != EXISTS_ALREADY:
            raise
        _require_table(session, shape.target, refused)
        return False


def _create(session: Session, shape: Shape, made: SchemaObjects, no_schema: float | None) -> bool:
    if no_schema is None:
        no_schema = time.monotonic()
        try:
            session.execute(shape.create_table)
            return True
        except TargetMissing:
            pass
    made.make_one(schema_of(shape.target), lambda: create_schema(session, shape.target), since=no_schema)
    session.execute(shape.create_table)
    return True


def create_schema(session: Session, target: TargetName) -> None:
    """Raises TargetMissing if the target's database does not exist, or the role cannot see it."""
    try:
        session.execute(sql.create_schema(target))
    except TargetMissing:
        require_database(session, target)
        raise


def create_files(
    session: Session, target: TargetName, made: SchemaObjects, *, file_format: Callable[[], None] | None
) -> None:
    """Create what part files are staged in and read through, once in a process for each schema. If it is dropped, the
    next statement that needs it fails. file_format: creates the file format; None: none is needed."""
    missing = {stage_of(target): lambda: create_stage(session, target)}
    if file_format is not None:
        missing[file_format_of(target)] = file_format
    made.make(missing)


def create_dropped(session: Session, target: TargetName, statement: str) -> None:
    """Create a table of pgsnow's own that error 2003 was about, with this CREATE. Raises TargetAccessDenied if it was
    not dropped."""
    try:
        session.execute(statement)
    except (AccessDenied, TargetQueryFailed) as denied:
        raise _hidden(target, denied) from denied


def create_stage(session: Session, target: TargetName) -> None:
    """Two tables of one schema may create its stage at the same moment: the second attempt then finds it."""
    statement = sql.create_stage(target)
    try:
        session.execute(statement)
    except TargetQueryFailed:
        session.execute(statement)


def _require_table(session: Session, target: TargetName, refused: TargetQueryFailed) -> None:
    """Raises an error unless the target, whose name is taken, is a table that the role sees now."""
    if target_state(session, target) is not None:
        return
    if describe(session, target) is None:
        raise _hidden(target, refused)
    refuse_other_kinds(session, target)
    raise TargetConflict(
        f"{target} is not a table",
        advice="Drop or rename the view (or what else has this name), or name another `target:`.",
    )


def _hidden(target: TargetName, denied: Exception) -> TargetAccessDenied:
    return TargetAccessDenied(
        f"{target} is gone, or the role may not use it any more: {denied}", advice=ADVICE
    )
