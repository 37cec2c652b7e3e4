"""What loads leave behind: the staging of batches, and rows that a full read did not find again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from pgsnow.model.errors import TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake import sql
from pgsnow.snowflake.connection import Session
from pgsnow.snowflake.names import is_staging_of


def sweep(session: Session, target: TargetName, batches: Iterable[str]) -> None:
    """Remove the staging table and the staged files of these batches, and of no other. Idempotent: what is not there
    (any more), be it the whole schema, is fine."""
    for batch in batches:
        for statement in (sql.drop_staging(target, batch), sql.remove_batch(target, batch)):
            with contextlib.suppress(TargetMissing):
                session.execute(statement)


def prune(session: Session, target: TargetName, fence: int) -> int:
    """Delete the rows that no run with this fence or a later one wrote; how many. For use after a full read only."""
    deleted = session.execute(sql.delete_older(target, fence))
    return sum(int(rows or 0) for rows in deleted.column("number of rows deleted"))


def list_orphans(session: Session, target: TargetName) -> tuple[str, ...]:
    """All staging there is: names of the target's staging tables, and `<batch>/` of every path in the stage of its
    schema, which the schema's tables share. Meaningful when nothing is being loaded."""
    return (*_staging_tables(session, target), *_staged_batches(session, target))


def _staging_tables(session: Session, target: TargetName) -> list[str]:
    try:
        shown = session.execute(sql.show_staging_tables(target))
    except TargetMissing:
        return []
    return sorted(name for name in shown.column("name") if is_staging_of(target, name))


def _staged_batches(session: Session, target: TargetName) -> list[str]:
    try:
        listed = session.execute(sql.list_staged(target))
    except TargetMissing:
        return []
    return sorted({_batch_of(name) for name in listed.column("name")})


def _batch_of(name: str) -> str:
    """`pgsnow_stage/users/17-0/part-0000.parquet` → `users/17-0/`."""
    return "/".join(name.split("/")[1:-1]) + "/"
