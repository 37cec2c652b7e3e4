"""Values as the ledger stores them: times, digests, lock keys, payloads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.ledger.checkpoints import applied_until, as_time
from pgsnow.ledger.queries import LEFT_OUT, MAX_PAYLOAD, MAX_TEXT, bounded, cut, storable
from pgsnow.ledger.rejected_rows import key_digest
from pgsnow.ledger.session import lock_key
from pgsnow.model.checkpoint import Mark
from tests.integration.ledger.conformance import checkpoint

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text", ["2026-03-01 10:00:00+00", "2026-03-01", "2026-03-01T10:00:00", "12026-03-01 10:00:00.5+00"]
)
def test_dates_and_times_are_times(text: str) -> None:
    assert as_time(text) == text


@pytest.mark.parametrize(
    "text", ["20260301", "-5", "infinity", "-infinity", "", None, "2026-03-01\n", "0044-03-15 BC"]
)
def test_anything_else_is_no_time(text: str | None) -> None:
    assert as_time(text) is None


def test_what_is_applied_is_told_by_low_or_else_by_the_newest_mark_with_a_time() -> None:
    marks = (
        Mark("a", 1, "2026-01-01 00:00:00+00"),
        Mark("b", 2, "2026-01-02 00:00:00+00"),
        Mark("c", 3, "-infinity"),
    )
    assert applied_until(checkpoint(low="2026-03-01 00:00:00+00", trail=marks)) == "2026-03-01 00:00:00+00"
    assert applied_until(checkpoint(low="42", trail=marks)) == "2026-01-02 00:00:00+00"
    assert applied_until(checkpoint(low="-infinity")) is None


@given(st.dictionaries(st.text(), st.none() | st.text()))
def test_the_digest_is_the_same_whatever_the_order_of_columns(key: dict[str, str | None]) -> None:
    assert key_digest(key) == key_digest(dict(reversed(key.items())))
    assert key_digest(key) != key_digest({**key, "one more": None}) or "one more" in key


def test_each_table_of_each_ledger_has_a_lock_of_its_own_that_fits_into_a_bigint() -> None:
    keys = {lock_key(schema, table) for schema in ("public", "a") for table in ("", "a", "b", "public.users")}
    assert len(keys) == 8
    assert all(-(2**63) <= key < 2**63 for key in keys)


@given(VALUES)
def test_whatever_is_stored_is_json_that_jsonb_takes(value: Any) -> None:
    text = json.dumps(storable(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


@given(st.dictionaries(st.text(max_size=20), VALUES))
def test_small_payloads_are_kept_whole(payload: dict[str, Any]) -> None:
    stored = storable(payload)
    if all(len(json.dumps(value, ensure_ascii=False)) <= MAX_TEXT for value in stored.values()):
        assert bounded(payload) == stored


def test_long_payloads_lose_their_last_values_and_say_so() -> None:
    payload = {f"c{n}": "x" * (MAX_TEXT - 10) for n in range(100)}
    stored = bounded(payload)
    assert stored is not None
    assert stored["c0"] == payload["c0"]
    assert stored["c99"] == LEFT_OUT
    assert len("".join(value for value in stored.values() if value != LEFT_OUT)) <= MAX_PAYLOAD
    assert bounded(None) is None


def test_a_cut_text_tells_how_long_it_was() -> None:
    assert cut("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert cut("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT + f"… [cut: {MAX_TEXT + 1} characters]"
    assert cut(None) is None
