"""The order of keys that both databases have, for keys as texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from pgsnow.model.key_range import Key, KeyRange
from pgsnow.model.plan import TablePlan


def order_of(plan: TablePlan) -> Callable[[Key], tuple[Any, ...]]:
    """A sort key that gives keys the order of both databases: numbers by value, all else by the bytes of their texts.
    (The texts of dates and times are written so that both orders are one.)"""
    numeric = [field.type.snowflake.startswith("NUMBER") for field in plan.key]
    return lambda key: tuple(
        Decimal(text) if number else text.encode("utf-8", "surrogateescape")
        for text, number in zip(key, numeric, strict=True)
    )


def holding(plan: TablePlan, ranges: Sequence[KeyRange], keys: Sequence[Key]) -> list[KeyRange]:
    """Those of these ascending ranges that hold one of these keys."""
    order = order_of(plan)
    ordered, found, at = sorted(keys, key=order), [], 0
    for one in ranges:
        start = at
        while at < len(ordered) and (one.end is None or order(ordered[at]) < order(one.end)):
            at += 1
        if at > start:
            found.append(one)
    return found


def bounds_beyond(plan: TablePlan, ranges: Sequence[KeyRange], first: Key | None) -> list[Key]:
    """The bounds between these ascending ranges that lie above `first` (None: all)."""
    order = order_of(plan)
    bounds = [one.first for one in ranges if one.first is not None]
    return [bound for bound in bounds if first is None or order(bound) > order(first)]
