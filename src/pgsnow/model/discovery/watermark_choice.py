"""Which column shows that a row has changed? Ranked by how far it can be trusted, then by what reading by it costs."""

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
ASCENDING = 0.9
MOSTLY = 0.5


class Trust(IntEnum):
    """How sure it is that the column tells of every change, from nothing to certain."""

    NONE = 0
    IF_APPEND_ONLY = 1
    """Given once, when the row is made; no update of this table has been counted."""
    BY_TRANSACTION = 2
    """The reader goes by transaction id whatever the values are: certain, but each tick scans the table."""
    BY_NAME = 3
    """Its name says that the application keeps it; the audit finds out if it does not."""
    BY_TRIGGER = 4
    """A trigger sets it at every update."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One column that might be the watermark. reasons: why it ranks where it does, for people."""

    column: str
    type_name: str
    trust: Trust
    points: int
    reasons: tuple[str, ...]

    @property
    def is_watermark(self) -> bool:
        """Does it tell of changes itself, or is it not looked at?"""
        return self.trust not in (Trust.NONE, Trust.BY_TRANSACTION)


def rank(table: SurveyedTable) -> tuple[Candidate, ...]:
    """All columns of a type that a watermark can have, the best first; equal ones in the table's order."""
    found = [
        _candidate(table, column) for column in table.source.columns if column.type_name in WATERMARK_TYPES
    ]
    return tuple(sorted(found, key=lambda candidate: (-candidate.trust, -candidate.points)))


def _candidate(table: SurveyedTable, column: Column) -> Candidate:
    facts = table.of(column.name)
    trust, why = _trust(table, column, facts)
    points, reasons = _points(table, column, facts)
    return Candidate(column.name, column.type_name, trust, points, (why, *reasons))


def _trust(table: SurveyedTable, column: Column, facts: ColumnFacts) -> tuple[Trust, str]:
    if facts.generated:
        return Trust.NONE, "computed from other columns"
    if column.type_name in INTEGERS and not _is_from_one_sequence(table, column.name):
        return (
            Trust.BY_TRANSACTION,
            "no sequence gives its values, so rows are found by transaction id (each tick scans the table)",
        )
    if facts.set_on_update:
        return Trust.BY_TRIGGER, "a trigger sets it at every update"
    if column.type_name not in INTEGERS and _speaks_of_changes(column.name) and not _is_mostly_null(facts):
        return Trust.BY_NAME, "named as what the application sets at every update"
    if column.type_name in INTEGERS or facts.default_is_now:
        return _append_only(table)
    return Trust.NONE, "nothing says that it moves when a row changes"


def _speaks_of_changes(name: str) -> bool:
    """`updated_at`, `LastModified`, `date_changed`; not `credited_at`, `exchange_date`."""
    return bool(_CHANGED.search(_HUMP.sub("_", name).lower()))


def _append_only(table: SurveyedTable) -> tuple[Trust, str]:
    """Set when a row is made and not again: right for tables whose rows never change."""
    if table.updates:
        return Trust.NONE, f"given when a row is made, and rows change ({table.updates:,} updates counted)"
    if not table.inserts:
        return Trust.NONE, "given when a row is made; nothing tells whether rows change"
    return (
        Trust.IF_APPEND_ONLY,
        f"given when a row is made; {table.inserts:,} inserts and no update counted, so rows seem never to change",
    )


def _is_from_one_sequence(table: SurveyedTable, column: str) -> bool:
    """As the reader decides whether an integer tells of time (docs/reader.md, "Watermark columns")."""
    feeds = [(cache, step) for name, cache, step in table.source.sequence_cache if name == column]
    return len(feeds) == 1 and feeds[0][0] == 1 and feeds[0][1] > 0


def _is_mostly_null(facts: ColumnFacts) -> bool:
    return facts.null_share is not None and facts.null_share > MOSTLY


def _points(table: SurveyedTable, column: Column, facts: ColumnFacts) -> tuple[int, list[str]]:
    """Within one degree of trust: an index counts for more than everything else together."""
    judged = (
        (column.name in table.source.indexed_first, 64, "indexed", "no index leads with it"),
        (column.not_null or facts.null_share == 0, 16, "never NULL", _null_text(facts)),
        (facts.default_is_now, 2, "default now()", ""),
        (facts.ascending is not None and facts.ascending > ASCENDING, 1, "ascends in the data", ""),
    )
    points = _TYPE_POINTS[column.type_name] + sum(worth for holds, worth, _, _ in judged if holds)
    said = [good if holds else bad for holds, _, good, bad in judged]
    return points, [column.type_name, *(text for text in said if text)]


def _null_text(facts: ColumnFacts) -> str:
    return "may be NULL" if facts.null_share is None else f"{facts.null_share:.0%} NULL"
