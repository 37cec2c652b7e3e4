"""The overview's list of tables: which of them are shown, in which order, on which page of the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from pgsnow.integrations.fastapi.words import shown_state
from pgsnow.operations.status.overview_table import OverviewTable

PAGE = 50
"""Tables on one page of the list. With more, a refresh takes longer, and the page outweighs its style and scripts."""
ORDERS: Mapping[str, Callable[[OverviewTable], Any]] = MappingProxyType(
    {
        "worst": lambda table: table.severity,
        "table": lambda table: table.name.casefold(),
        "lag": lambda table: -1.0 if table.lag_seconds is None else table.lag_seconds // 10,
        "success": lambda table: table.last_success.timestamp() if table.last_success else 0.0,
        "rows": lambda table: table.last_rows.total,
        "day": lambda table: table.day_rows.total,
    }
)
"""Sort keys by name. Lags that differ by less than ten seconds are equal, so that rows do not jump."""
LARGEST_FIRST = ("lag", "rows", "day")
"""Orders in which the largest value comes first, unless the reader turns them."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Filter, order and page that a reader has chosen.

    text: part of a table's or target's name. state: a word of `shown_state`, or "" for all. sort: a name in ORDERS.
    turned: in the other direction. page: from 1.
    """

    text: str = ""
    state: str = ""
    sort: str = "worst"
    turned: bool = False
    page: int = 1

    def address(self, **changes: Any) -> str:
        """The query of an address with these changes, without what is the default. A change of anything but the page
        leads to the first page."""
        asked = replace(self, **({"page": 1} | changes))
        given = {"q": asked.text, "state": asked.state, "sort": asked.sort if asked.sort != "worst" else ""}
        given |= {"turned": "1" * asked.turned, "page": str(asked.page) if asked.page > 1 else ""}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"?{query}" if query else ""

    def sorted_by(self, order: str) -> str:
        """The address behind a column's heading: sorts by it, or turns the order if it is sorted by it already."""
        return self.address(sort=order, turned=order == self.sort and not self.turned)

    def direction(self, order: str) -> str:
        """`ascending` or `descending` for the column that the list is sorted by, else ""."""
        if order != self.sort:
            return ""
        return "descending" if (order in LARGEST_FIRST) is not self.turned else "ascending"


@dataclass(frozen=True, slots=True)
class TableList:
    """A page of the list. found: number of tables that match. states: number of tables by state, whatever the filter
    for states, worst first. first: number of the first table shown, from 1; 0 if there is none."""

    query: ListQuery
    tables: tuple[OverviewTable, ...]
    found: int
    total: int
    states: Mapping[str, int]
    first: int
    pages: int


def listed(tables: Sequence[OverviewTable], query: ListQuery) -> TableList:
    """The page of the list that `query` asks for. tables: all of them, worst first. An order that does not exist is the
    default one, and a page after the last is the last. Tables that are equal in an order stay worst first."""
    query = replace(query, sort=query.sort if query.sort in ORDERS else "worst")
    text = query.text.strip().casefold()
    named = [table for table in tables if text in table.name.casefold() or text in table.target.casefold()]
    states: dict[str, int] = {}
    for table in named:
        word = shown_state(table).word
        states[word] = states.get(word, 0) + 1
    found = [table for table in named if query.state in ("", shown_state(table).word)]
    found.sort(key=ORDERS[query.sort], reverse=(query.sort in LARGEST_FIRST) is not query.turned)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(query.page, 1), pages)
    start = (page - 1) * PAGE
    shown = tuple(found[start : start + PAGE])
    first = start + 1 if shown else 0
    return TableList(replace(query, page=page), shown, len(found), len(named), states, first, pages)
