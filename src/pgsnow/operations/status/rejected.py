"""Rejected rows, a page at a time, and how many are open for which reason."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.rows import ErrorRow, RejectedCount


@dataclass(frozen=True, slots=True)
class RejectedPage:
    """rows: by number, largest first. next_before: `before` of the next page, None: this is the last one. counts: open
    rows by table and reason, of the table asked for, or of all."""

    rows: tuple[ErrorRow, ...]
    next_before: int | None
    counts: tuple[RejectedCount, ...]


def rejected_page(
    ledger: Ledger,
    *,
    table: str | None = None,
    state: str | None = "open",
    before: int | None = None,
    limit: int = 50,
) -> RejectedPage:
    """Rejected rows with these properties (None: any). before: only rows with a smaller number."""
    found = unless_missing(
        lambda: ledger.rejected_rows.page(table=table, state=state, before=before, limit=limit + 1),
        list[ErrorRow](),
    )
    rows = tuple(found[:limit])
    more = len(found) > limit
    counts = unless_missing(lambda: ledger.rejected_rows.counts(table), list[RejectedCount]())
    return RejectedPage(rows, rows[-1].id if more else None, tuple(counts))
