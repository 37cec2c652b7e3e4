"""Rows that no database can hash are compared as streams, exactly and in bounded memory."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.key_range import ComparisonCounts, DifferenceKind
from pgsnow.operations.verify.streamed import differing_keys, json_form, plain_form

Rows = list[tuple[tuple[int], tuple[str]]]
ROWS = st.lists(st.tuples(st.tuples(st.integers(0, 6)), st.tuples(st.sampled_from("abc"))), max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=6),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3),
    max_leaves=8,
)


@given(ROWS, ROWS)
def test_exactly_the_keys_with_other_contents_are_found(source: Rows, target: Rows) -> None:
    """A key is found if and only if the two sides have other rows for it, counted as often as they occur; and its kind
    says which side has any."""
    counts = ComparisonCounts()
    found = {key: kind for kind, key, _, _ in differing_keys(lambda: source, lambda: target, counts)}
    keys = {key for key, _ in [*source, *target]}
    bags = {key: [Counter(c for k, c in side if k == key) for side in (source, target)] for key in keys}
    assert found.keys() == {key for key, (there, here) in bags.items() if there != here}
    for key, kind in found.items():
        there, here = bags[key]
        both = DifferenceKind.CHANGED if there and here else None
        assert kind == (both or (DifferenceKind.GHOST if here else DifferenceKind.MISSING))
    assert (counts.source_rows, counts.target_rows) == (len(source), len(target))


@given(DOCUMENTS, DOCUMENTS)
def test_documents_have_one_form_if_and_only_if_they_are_equal(one: Any, other: Any) -> None:
    """Spelling does not matter: spaces, the order of keys, escapes. Everything else does, also true and 1."""
    spaced = json.dumps(one, indent=1, ensure_ascii=True)
    compact = json.dumps(one, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json_form(spaced) == json_form(compact)
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (json_form(compact) == json_form(json.dumps(other))) == same


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a": 1.50}', '{"a":1.5}', True),
        ("1.0", "1", True),
        ("1e2", "100", True),
        ("-0.0", "0", True),
        ("0.1", "0.10000000000000001", False),
        ('"1.5"', "1.5", False),
        ('{"\ue000": "1.5"}', "1.5", False),
        ('{"\\ue000": "1.5"}', '{"\ue000": "1.5"}', True),
        ("null", None, False),
        ('{"a": 1, "a": 2}', '{"a": 2}', True),
        ("12345678901234567890123456789.5", "12345678901234567890123456789.6", False),
    ],
)
def test_numbers_in_documents_compare_by_value_and_with_every_digit(
    one: str, other: str | None, equal: bool
) -> None:
    """Numbers are equal by value, never to a text, and no digit is rounded."""

    def slow(text: str) -> Any:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)

    assert (json_form(one, slow) == json_form(other, slow)) is equal


def test_equal_values_have_one_form_in_rows() -> None:
    """Decimals with other zeros, and both zeros of a double, are the same value."""
    assert repr(plain_form((Decimal("1.50"), -0.0, b"x"))) == repr(plain_form((Decimal("1.5"), 0.0, b"x")))
    assert repr(plain_form((Decimal(-1),))) != repr(plain_form((Decimal(-2),)))
