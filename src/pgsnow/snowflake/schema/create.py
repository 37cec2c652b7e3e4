"""Creates what a target needs and does not have: its schema, the table itself, its stage, a shadow table.

Error 2003 says that an object does not exist or that the role may not use it. Only a CREATE without IF NOT EXISTS tells
which: it succeeds if the object did not exist, and fails if it does (003041 in the second case).
"""

from __future__ import annotations

from pgsnow.model.errors import (
    AccessDenied,
    TargetAccessDenied,
    TargetConflict,
    TargetMissing,
    TargetQueryFailed,
)
from pgsnow.model.table import TargetName
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


def create(session: Session, shape: Shape) -> bool:
    """Create the target, which the role does not see; False: another session has created it in the meantime.

    Creates the schema only if creating the table fails: a role may own a schema without the right to create one. Raises
    TargetAccessDenied if the target exists and the role may not see it, or may not create it; TargetMissing if there is
    no such database; TargetConflict if its name belongs to something else.
    """
    try:
        return _create(session, shape)
    except AccessDenied as denied:
        raise _hidden(shape.target, denied) from denied
    except TargetMissing:
        raise
    except TargetQueryFailed as refused:
        if refused.code != EXISTS_ALREADY:
            raise
        _require_table(session, shape.target, refused)
        return False


def _create(session: Session, shape: Shape) -> bool:
    try:
        session.execute(shape.create_table)
    except TargetMissing:
        require_database(session, shape.target)
        session.execute(sql.create_schema(shape.target))
        session.execute(shape.create_table)
    return True


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
