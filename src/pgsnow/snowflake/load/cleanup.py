"""What loads leave behind: the staging of batches, and rows that a full read did not find again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from pgsnow.model.errors import TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import is_staging_of
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL, Stage


def sweep(
    session: Session,
    target: TargetName,
    batches: Iterable[str],
    stagings: Sequence[Stage] = (INTERNAL,),
    *,
    tables: bool = True,
) -> None:
    """Remove the staging table and the staged files of these batches, and of no other. Idempotent: what is not there
    (any more), be it the whole schema, is fine. tables: False if they certainly have no staging table."""
    for batch in batches:
        if tables:
            with contextlib.suppress(TargetMissing):
                session.execute(sql.drop_staging(target, batch))
        for staging in stagings:
            staging.remove(session, target, batch)


def prune(session: Session, target: TargetName, fence: int) -> int:
    """Delete the rows that no run with this fence or a later one wrote; how many. For use after a full read only."""
    deleted = session.execute(sql.delete_older(target, fence))
    return sum(int(rows or 0) for rows in deleted.column("number of rows deleted"))


def list_orphans(
    session: Session, target: TargetName, stagings: Sequence[Stage] = (INTERNAL,)
) -> tuple[str, ...]:
    """All staging there is: names of the target's staging tables, and `<batch>/` of every folder of the stagings,
    which other tables share. Meaningful when nothing is being loaded."""
    folders = [folder for staging in stagings for folder in staging.batches(session, target)]
    return (*_staging_tables(session, target), *folders)


def _staging_tables(session: Session, target: TargetName) -> list[str]:
    try:
        shown = session.execute(sql.show_staging_tables(target))
    except TargetMissing:
        return []
    return sorted(name for name in shown.column("name") if is_staging_of(target, name))
