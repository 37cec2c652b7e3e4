"""Guards against deletes that are no deletes: an empty or foreign source, lost rights, an unlikely number of rows."""

from __future__ import annotations

from pgsnow.model.errors import DeletesUnconfirmed
from pgsnow.model.sentences import counted
from pgsnow.sync.table.context import RunContext

SMALL = 1_000
"""Fewer rows than this are no unlikely number, whatever their share."""
CONFIRM = "If they are to leave Snowflake, too: pgsnow run --select {} {}. New and changed rows are loaded meanwhile."


def check_deletes(run: RunContext, rows: int, of: int, *, source_is_empty: bool = False) -> None:
    """Before rows are deleted because the source lacks them. rows: how many. of: rows of the target. Raises
    DeletesUnconfirmed, unless a person has confirmed the deletes of this run."""
    if rows == 0 or run.options.confirm_deletes:
        return
    why = reason_to_ask(run, rows, of, source_is_empty=source_is_empty or rows >= of)
    if why is not None:
        raise DeletesUnconfirmed(
            f"{run.claim.table}: nothing was deleted: {counted(rows, 'row')} of {of} in Snowflake"
            f" would be, as the source does not show them any more, and {why}",
            advice=CONFIRM.format(
                run.claim.table, "--confirm-deletes" if run.deletes.sweeps else "--full-refresh"
            ),
        )


def reason_to_ask(run: RunContext, rows: int, of: int, *, source_is_empty: bool) -> str | None:
    """Why a person must confirm that so many rows are deleted; None: they need not."""
    if source_is_empty:
        return "the source shows none at all (it was truncated, restored empty, or is another database)"
    share = run.plan.config.max_delete_share
    if rows >= SMALL and rows > share * of:
        return f"that is more than `max_delete_share` ({share:.0%})"
    due = run.table.sweep
    if due is None or due.before is None:
        return None
    before, now = due.before, due.state
    if is_elsewhere(before.history, now.history):
        return "the source is another server or database than at the last search for deleted rows"
    if before.rights and now.rights and before.rights != now.rights:
        return (
            "since the last search for deleted rows it has changed what the role may see (the role, its attributes,"
            " the owner, row-level security, a policy, or the view's definition)"
        )
    return None


def is_elsewhere(before: str, now: str) -> bool:
    """True if two values of SweepState.history name different servers or databases, as far as the role may read them. A
    timeline changes with each failover; what a server lost then, the read finds out."""
    was, here = before.split("/"), now.split("/")
    if len(was) != 3 or len(here) != 3:
        return False
    return any(was[at] not in ("", "0", here[at]) and here[at] not in ("", "0") for at in (0, 2))
