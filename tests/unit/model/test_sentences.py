"""Parts of sentences for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.sentences import LONGEST_LINE, counted, first_line, were, with_name, without_name

NAMES = st.sampled_from(["public.t", "t", 'public."T"', "a: b"])


def test_one_thing_is_not_called_several() -> None:
    assert [counted(n, "statement") for n in (0, 1, 2)] == ["0 statements", "1 statement", "2 statements"]
    assert [counted(n, "batch", "batches") for n in (1, 2)] == ["1 batch", "2 batches"]
    assert [were(1), were(2)] == ["was", "were"]


@given(NAMES, NAMES, st.sampled_from(["denied", "denied: by a: b", ""]), st.integers(0, 3))
def test_a_table_is_named_once_before_its_error(table: str, other: str, error: str, times: int) -> None:
    """However often the error names it already; another name stays."""
    assert with_name(table, f"{table}: " * times + error) == f"{table}: {error}"
    assert without_name(table, f"{table}: " * times + error) == error
    if other != table:
        assert with_name(table, f"{other}: {error}") == f"{table}: {other}: {error}"


@pytest.mark.parametrize("error", ["public.tt: x", "public.t:x", "x public.t: y"])
def test_only_the_name_itself_is_taken_for_it(error: str) -> None:
    assert with_name("public.t", error) == f"public.t: {error}"


@pytest.mark.parametrize(
    ("error", "line"),
    [(None, ""), ("", ""), ("denied\nby a", "denied"), ("x" * 4000, "x" * LONGEST_LINE + "…")],
)
def test_a_long_error_does_not_flood_a_list_of_tables(error: str | None, line: str) -> None:
    assert first_line(error) == line
