"""Makes and drops the live view of a target. Needs no warehouse."""

from __future__ import annotations

from enum import StrEnum

from pgsnow.model.errors import TargetConflict, TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import live_view as sql
from pgsnow.snowflake.sql.statements import show_object


class NameUse(StrEnum):
    """Use of the name of a live view: nothing has it, pgsnow's own view, or an object of someone else."""

    FREE = "free"
    OURS = "ours"
    TAKEN = "taken"


def use_of_name(session: Session, view: TargetName) -> NameUse:
    """The use of this name now, as far as the role sees it."""
    try:
        shown = session.execute(show_object(view))
    except TargetMissing:  # the schema
        return NameUse.FREE
    found = zip(shown.column("name"), shown.column("kind"), shown.column("comment"), strict=True)
    for name, kind, comment in found:
        if name == view.table:
            ours = str(kind).upper() == "VIEW" and str(comment or "").startswith(sql.MARK)
            return NameUse.OURS if ours else NameUse.TAKEN
    return NameUse.FREE


def make_live_view(session: Session, view: sql.LiveView, *, is_ours: bool) -> bool:
    """Create the view, or replace it; True: there was none. is_ours: a moment ago it was seen to be pgsnow's own.
    Raises TargetConflict if its name belongs to something else."""
    if is_ours:
        session.execute(view.create(replaces=True))
        return False
    name = sql.live_view_name(view.target)
    use = use_of_name(session, name)
    if use is NameUse.TAKEN:
        raise TargetConflict(
            f"{name} exists already, and pgsnow has not made it",
            advice="Rename or drop that object, or leave out `live_view`.",
        )
    session.execute(view.create(replaces=use is NameUse.OURS))
    return use is NameUse.FREE


def drop_live_view(session: Session, target: TargetName) -> bool:
    """Drop the target's live view; False: there is none that pgsnow has made. Idempotent."""
    name = sql.live_view_name(target)
    if use_of_name(session, name) is not NameUse.OURS:
        return False
    session.execute(sql.drop(name))
    return True
