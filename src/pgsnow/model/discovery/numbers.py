"""Types for numeric columns without precision, from the digits that a scan has counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.types.type_rules import MAX_PRECISION, is_unbounded

INTEGER_ROOM, SCALE_ROOM = 6, 2
"""Digits before and after the decimal point beyond those of the data."""
LEAST_PRECISION = 18
"""Numbers of up to 18 digits are the cheapest ones to load."""


def number_casts(table: SurveyedTable) -> dict[str, str]:
    """Column → NUMBER(p,s) that holds its present values with head room. Columns that no NUMBER can hold, that hold no
    number or an infinite one, or that were not scanned are left out."""
    found: dict[str, str] = {}
    for column in table.source.columns:
        facts = table.facts_of(column.name)
        if is_unbounded(column) and facts.integer_digits is not None and facts.scale is not None:
            number = _number(facts.integer_digits, facts.scale)
            found |= {column.name: number} if number else {}
    return found


def _number(digits: int, scale: int) -> str:
    """The type for values of that many digits before and after the decimal point; '' if they have too many."""
    precision = digits + INTEGER_ROOM + scale + SCALE_ROOM
    if precision <= MAX_PRECISION:
        return f"NUMBER({max(precision, LEAST_PRECISION)},{scale + SCALE_ROOM})"
    return f"NUMBER({MAX_PRECISION},{scale})" if digits + scale <= MAX_PRECISION else ""


def cast_reasons(casts: Mapping[str, str]) -> Iterator[str]:
    if casts:
        yield (
            f"cast: {', '.join(casts)}: numeric without precision; the types hold all present values with head room,"
            " and a row with a value that does not fit is rejected"
        )
