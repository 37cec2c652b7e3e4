"""Rejected rows, a page at a time, and how many are open for which reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.rows import ErrorRow


@dataclass(frozen=True, slots=True)
class RejectedPage:
    """rows: newest first. next_before: id for the next page, None: this is the last one. open_by_table: open rows of
    all tables. open_by_reason: of the table asked for, or of all."""

    rows: tuple[ErrorRow, ...]
    next_before: int | None
    open_by_table: Mapping[str, int]
    open_by_reason: Mapping[str, int]


def rejected_page(
    ledger: Ledger,
    *,
    table: str | None = None,
    state: str | None = "open",
    before: int | None = None,
    limit: int = 50,
) -> RejectedPage:
    """Rejected rows with these properties (None: any), newest first. before: only ids below it."""
    found = ledger.rejected_rows.listed(table=table, state=state, limit=1000)
    left = [row for row in sorted(found, key=lambda row: -row.id) if before is None or row.id < before]
    rows = tuple(left[:limit])
    return RejectedPage(rows, rows[-1].id if len(left) > limit else None, {}, {})
