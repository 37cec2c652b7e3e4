"""Choice of the watermark column: candidates ranked by how reliably they show changes, then by the cost of reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from pgsnow.model.discovery.survey import ColumnFacts, SurveyedTable
from pgsnow.model.plan import WATERMARK_TYPES
from pgsnow.model.table import Column

INTEGERS = frozenset({"int2", "int4", "int8"})
_TYPE_POINTS = {"timestamptz": 8, "timestamp": 4, "int8": 3, "int4": 2, "int2": 1, "date": 0}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CHANGED = re.compile(r"updat|modif|(\A|_)(chang|edit|touch|revis|mtime)|last_?(chang|edit)|row_?version")
_INSERTED = re.compile(r"creat|insert|(\A|_)(added|registered)")
ASCENDING = 0.9
MOSTLY = 0.5
LATER_COUNTED = 0.01
LATER_ESTIMATED = 0.1
"""Share of rows that are later than their insert from which on updates are seen to move a column: of all rows, or
estimated from the planner's statistics."""
HISTORY_ROWS = 1000
HISTORY_TRANSACTIONS = 100
HISTORY_DAYS = 7
"""Rows, the transactions that wrote them and the days in which they did, from which on `no update was counted` shows
that rows never change. After a restore one transaction has written all rows, and no counter knows what came before."""


class Trust(IntEnum):
    """How reliably the column shows every change of a row, in ascending order."""

    NONE = 0
    BY_NAME = 1
    """Its name suggests that the application sets it at every update, and nothing else does."""
    IF_APPEND_ONLY = 2
    """Set once, when the row is inserted; the counters show over a long time that no row was updated."""
    BY_TRANSACTION = 3
    """The reader uses transaction ids, whatever the values are: certain, but each tick scans the table."""
    BY_DATA = 4
    """Its name suggests it, and its values show that updates move it; the audit detects updates that do not."""
    BY_TRIGGER = 5
    """A trigger sets it at every update."""


_PROVEN = frozenset({Trust.IF_APPEND_ONLY, Trust.BY_DATA, Trust.BY_TRIGGER})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible watermark column. reasons: for its rank, for messages."""

    column: str
    type_name: str
    trust: Trust
    points: int
    reasons: tuple[str, ...]

    @property
    def is_watermark(self) -> bool:
        """True if the reader can find changed rows by this column."""
        return self.trust in _PROVEN


def rank(table: SurveyedTable) -> tuple[Candidate, ...]:
    """All columns whose type a watermark can have, the best one first; equally good ones in the table's order."""
    found = [
        _candidate(table, column)
        for column in table.source.columns
        if column.type_name in WATERMARK_TYPES and table.source.may_read(column.name)
    ]
    return tuple(sorted(found, key=lambda candidate: (-candidate.trust, -candidate.points)))


def _candidate(table: SurveyedTable, column: Column) -> Candidate:
    facts = table.facts_of(column.name)
    trust, why = _trust(table, column, facts)
    points, reasons = _points(table, column, facts)
    return Candidate(column.name, column.type_name, trust, points, (why, *reasons))


def _trust(table: SurveyedTable, column: Column, facts: ColumnFacts) -> tuple[Trust, str]:
    if facts.generated:
        return Trust.NONE, "computed from other columns"
    integer = column.type_name in INTEGERS
    if integer and not table.source.is_numbered_in_order(column.name):
        return Trust.BY_TRANSACTION, "its values do not show when a row was written"
    if facts.set_on_update:
        return Trust.BY_TRIGGER, "a trigger sets it at every update"
    if not integer and suggests_updates(column.name) and not _is_mostly_null(facts):
        return _by_name(table, facts)
    if integer or facts.default_is_now:
        return _append_only(table)
    return Trust.NONE, "nothing indicates that it changes with the row"


def suggests_updates(name: str) -> bool:
    """`updated_at`, `LastModified`, `date_changed`; not `credited_at`, `exchange_date`."""
    return bool(_CHANGED.search(_HUMP.sub("_", name).lower()))


def is_set_at_insert(name: str, default_is_now: bool) -> bool:
    """True for a column that holds the time at which the row was inserted, if it is a time at all: `created_at`, or one
    whose default is the clock. A column that is meant to move with updates starts there, but does not stay."""
    if suggests_updates(name):
        return False
    return default_is_now or bool(_INSERTED.search(_HUMP.sub("_", name).lower()))


def _by_name(table: SurveyedTable, facts: ColumnFacts) -> tuple[Trust, str]:
    """The trust in a column whose name alone says that updates move it."""
    needed = LATER_COUNTED if table.profiled else LATER_ESTIMATED
    if facts.later is not None and facts.later >= needed:
        return Trust.BY_DATA, f"updates move it: it is later than the insert in {facts.later:.0%} of rows"
    if facts.later is not None:
        return Trust.BY_NAME, "no trigger sets it, and its values are those of the insert"
    looked = "" if table.profiled else " (--profile looks for it)"
    return Trust.BY_NAME, f"no trigger sets it, and the data does not show that updates move it{looked}"


def _append_only(table: SurveyedTable) -> tuple[Trust, str]:
    """The trust in a column that is set only at insert, which is right for tables whose rows never change."""
    if table.updates:
        return Trust.NONE, f"set at insert, but rows change ({table.updates:,} updates counted)"
    if not _has_history(table):
        return Trust.NONE, "set at insert; nothing shows that rows never change"
    return (
        Trust.IF_APPEND_ONLY,
        f"set at insert; {table.inserts:,} inserts in {table.transactions:,} transactions and no update counted",
    )


def _has_history(table: SurveyedTable) -> bool:
    """True if the counters know the inserts of all rows, and those were many, in many transactions, on many days."""
    rows = table.source.estimated_rows
    days = max((facts.days or 0 for facts in table.facts.values() if facts.default_is_now), default=0)
    return (
        table.profiled
        and table.inserts >= rows >= HISTORY_ROWS
        and (table.transactions or 0) >= HISTORY_TRANSACTIONS
        and days >= HISTORY_DAYS
    )


def unproven(table: SurveyedTable, column: str) -> str:
    """The reason to doubt that every update of a row moves this watermark column; '' if there is none. Columns that are
    read by transaction id need none."""
    found = next((candidate for candidate in rank(table) if candidate.column == column), None)
    if found is None or found.trust in {Trust.BY_TRANSACTION, Trust.BY_DATA, Trust.BY_TRIGGER}:
        return ""
    return found.reasons[0]


def _is_mostly_null(facts: ColumnFacts) -> bool:
    return facts.null_share is not None and facts.null_share > MOSTLY


def _points(table: SurveyedTable, column: Column, facts: ColumnFacts) -> tuple[int, list[str]]:
    """(points, reasons) within one degree of trust. An index outweighs everything else."""
    judged = (
        (column.name in table.source.indexed_first, 64, "indexed", "no index leads with it"),
        (column.not_null or facts.null_share == 0, 16, "never NULL", _null_text(facts)),
        (facts.default_is_now, 2, "default now()", ""),
        (facts.ascending is not None and facts.ascending > ASCENDING, 1, "ascends in the data", ""),
    )
    points = _TYPE_POINTS[column.type_name] + sum(worth for holds, worth, _, _ in judged if holds)
    texts = [good if holds else bad for holds, _, good, bad in judged]
    return points, [column.type_name, *(text for text in texts if text)]


def _null_text(facts: ColumnFacts) -> str:
    return "may be NULL" if facts.null_share is None else f"{facts.null_share:.0%} NULL"
