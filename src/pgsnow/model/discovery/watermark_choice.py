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
ASCENDING = 0.9
MOSTLY = 0.5


class Trust(IntEnum):
    """How reliably the column shows every change of a row, in ascending order."""

    NONE = 0
    IF_APPEND_ONLY = 1
    """Set once, when the row is inserted; no update of this table has been counted."""
    BY_TRANSACTION = 2
    """The reader uses transaction ids, whatever the values are: certain, but each tick scans the table."""
    BY_NAME = 3
    """Its name suggests that the application sets it at every update; the audit detects if it does not."""
    BY_TRIGGER = 4
    """A trigger sets it at every update."""


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
        return self.trust not in (Trust.NONE, Trust.BY_TRANSACTION)


def rank(table: SurveyedTable) -> tuple[Candidate, ...]:
    """All columns whose type a watermark can have, the best one first; equally good ones in the table's order."""
    found = [
        _candidate(table, column) for column in table.source.columns if column.type_name in WATERMARK_TYPES
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
    if column.type_name in INTEGERS and not table.source.is_numbered_in_order(column.name):
        return (
            Trust.BY_TRANSACTION,
            "nothing shows that its values are given out in order (an identity column GENERATED ALWAYS would), so rows"
            " are found by transaction id (each tick scans the table)",
        )
    if facts.set_on_update:
        return Trust.BY_TRIGGER, "a trigger sets it at every update"
    if column.type_name not in INTEGERS and _suggests_updates(column.name) and not _is_mostly_null(facts):
        return Trust.BY_NAME, "its name suggests that the application sets it at every update"
    if column.type_name in INTEGERS or facts.default_is_now:
        return _append_only(table)
    return Trust.NONE, "nothing indicates that it changes with the row"


def _suggests_updates(name: str) -> bool:
    """`updated_at`, `LastModified`, `date_changed`; not `credited_at`, `exchange_date`."""
    return bool(_CHANGED.search(_HUMP.sub("_", name).lower()))


def _append_only(table: SurveyedTable) -> tuple[Trust, str]:
    """The trust in a column that is set only at insert, which is right for tables whose rows never change."""
    if table.updates:
        return Trust.NONE, f"set at insert, but rows change ({table.updates:,} updates counted)"
    if not table.inserts:
        return Trust.NONE, "set at insert; it is unknown whether rows change"
    return (
        Trust.IF_APPEND_ONLY,
        f"set at insert; {table.inserts:,} inserts and no update counted, so rows seem never to change",
    )


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
