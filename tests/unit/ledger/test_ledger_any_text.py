"""Text of any characters in a ledger whose database is not in UTF-8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.any_text import CODECS, escaped, unescaped

CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\u{}5ce9é☕")


@given(st.text(CHARACTERS), st.sampled_from(["ascii", *CODECS.values()]))
def test_text_comes_back_as_it_was_and_is_stored_in_the_encoding(text: str, codec: str) -> None:
    """Also text that looks like an escape, and half of one beside a character that must be escaped."""
    stored = escaped(text, codec)
    stored.encode(codec)
    assert unescaped(stored) == text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("Zoë", "Zoë"),
        ("ключ", r"\u{43a}\u{43b}\u{44e}\u{447}"),
        (r"C:\users", r"C:\users"),
        (r"\u{e9}", r"\u{5c}u{e9}"),
    ],
)
def test_what_fits_is_stored_as_it_is(text: str, stored: str) -> None:
    """So that people who query the ledger's tables read what was meant."""
    assert escaped(text, "iso8859_1") == stored
