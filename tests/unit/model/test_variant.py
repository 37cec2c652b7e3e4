"""JSON that a VARIANT would change is found, and no other."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgsnow.model.types.variant import SUSPECT, misfit

DIGITS = st.text("0123456789", min_size=1, max_size=60)
NUMBERS = st.builds(
    lambda sign, whole, rest, exponent: sign + (whole.lstrip("0") or "0") + rest + exponent,
    st.sampled_from(["", "-"]),
    DIGITS,
    st.just("") | DIGITS.map(lambda digits: "." + digits),
    st.just("") | st.integers(-400, 400).map(lambda n: f"e{n}") | st.integers(0, 9).map(lambda n: f"E+{n}"),
)


@given(NUMBERS)
@example("0e99999999999999999999")
@example("1e-99999999999999999999")
@example("0." + "0" * 37 + "1")
def test_a_number_that_is_let_through_is_held_exactly(text: str) -> None:
    """Held: as a fixed-point number of 38 digits, or as a double whose own text has the same value."""
    if misfit(text) is not None:
        assert re.search(SUSPECT, text)
        return
    number = Decimal(text)
    digits = len(number.as_tuple().digits)
    assert digits <= 38 or number in (Decimal(repr(float(text))), Decimal(float(text)))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_held_as_postgres_writes_it(number: float) -> None:
    assert misfit(json.dumps([number])) is None


@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(0, 37))
def test_every_number_of_38_digits_is_held(digits: int, scale: int) -> None:
    text = f"{Decimal(digits).scaleb(-scale):f}"
    assert len(str(abs(digits))) < scale or misfit(text) is None


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_text_is_never_taken_for_a_number(value: object) -> None:
    text = json.dumps({"a": [value]})
    found = misfit(text)
    assert found is None or "number" in found or "surrogate" in found
    if found is not None:
        assert re.search(SUSPECT, text)


@pytest.mark.parametrize(
    "text",
    [
        '": 1e400"',
        f'{{"{"7" * 39}": "{"7" * 39}"}}',
        '"\\ud83d\\ude00"',
        "[0.1e1, 5E-324]",
        "6.5589212081945216e+16",
    ],
)
def test_what_only_looks_bad_is_good(text: str) -> None:
    assert re.search(SUSPECT, text)
    assert misfit(text) is None


@pytest.mark.parametrize("text", ['"\\ud83d"', '"\\ude00\\ud83d"', '{"\\uDFFF": 1, "a": 1e0}'])
def test_half_of_a_pair_is_bad(text: str) -> None:
    assert re.search(SUSPECT, text)
    assert misfit(text) == "VARIANT cannot hold half of a surrogate pair"


def test_what_is_nested_too_deeply_to_be_read_is_told() -> None:
    assert "nested" in str(misfit("[" * 100_000 + "1e1" + "]" * 100_000))
