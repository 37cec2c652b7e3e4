"""Keys as texts have the order that both databases have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.key_range import KeyRange
from pgsnow.sync.compare.ranges import between
from pgsnow.sync.table.comparison.key_order import bounds_beyond, holding, order_of


def plan_of(*types: str) -> Any:
    return SimpleNamespace(key=[SimpleNamespace(type=SimpleNamespace(snowflake=kind)) for kind in types])


NUMBERS, TEXTS = plan_of("NUMBER(38,0)"), plan_of("VARCHAR")


@given(st.sets(st.integers(-1000, 1000), min_size=1), st.sets(st.integers(-1000, 1000)))
def test_the_ranges_that_hold_keys_are_found(keys: set[int], bounds: set[int]) -> None:
    ranges = between([(str(bound),) for bound in sorted(bounds)])
    found = holding(NUMBERS, ranges, [(str(key),) for key in keys])
    wanted = [one for one in ranges if any(is_in(key, one) for key in keys)]
    assert found == wanted


def is_in(key: int, one: KeyRange) -> bool:
    after = one.first is None or int(one.first[0]) <= key
    return after and (one.end is None or key < int(one.end[0]))


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1)))
def test_texts_are_ordered_by_their_bytes(texts: list[str]) -> None:
    ordered = sorted(((text,) for text in texts), key=order_of(TEXTS))
    assert [key[0].encode() for key in ordered] == sorted(text.encode() for text in texts)


def test_moments_are_ordered_by_time_with_and_without_a_fraction() -> None:
    moments = ["2024-01-01 00:00:00+00", "2024-01-01 00:00:00.5+00", "2024-01-01 00:00:01+00"]
    assert sorted(((text,) for text in reversed(moments)), key=order_of(TEXTS)) == [(m,) for m in moments]


def test_bounds_beyond_a_key() -> None:
    ranges = between([("5",), ("10",), ("70",)])
    assert bounds_beyond(NUMBERS, ranges, ("9",)) == [("10",), ("70",)]
    assert bounds_beyond(NUMBERS, ranges, ("10",)) == [("70",)]
