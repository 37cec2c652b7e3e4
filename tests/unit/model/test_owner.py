"""Whose a target is, from its comment; and what a row of the ledger is used for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.owner import Owner, Ownership, Place, SourceDatabase, owner_in, ownership, places_after

PROD = SourceDatabase("prod", 16384, "7391", 1)
OURS = Owner("3f2a", "public.users", PROD, "DB.A.USERS")
A, B, C = (Place(name, 1, "7391", 1, "ACC", f"DB.A.{name}") for name in "abc")

names = st.text(min_size=1, max_size=40)
owners = st.builds(
    Owner,
    ledger=st.text(max_size=40),
    table=names,
    source=st.builds(
        SourceDatabase, names, st.integers(0, 2**32 - 1), st.from_regex(r"\A\d{0,20}\Z"), st.integers(0, 99)
    ),
    target=names,
)
comments = st.text(max_size=200).filter(lambda text: "[pgsnow-owner" not in text and text == text.rstrip(" "))


@given(owners, owners, comments)
def test_a_comment_keeps_what_a_person_wrote_and_names_the_last_owner(
    first: Owner, last: Owner, text: str
) -> None:
    """Whatever is in the names. The mark is ASCII, without quotes and backslashes."""
    comment = last.added_to(first.added_to(text))
    assert owner_in(comment) == last
    assert comment == (f"{text} {last.mark}" if text else last.mark)
    assert last.mark.isascii()
    assert not set(last.mark) & set("'\"\\\n;")
    assert owner_in(text) is None


def test_a_person_wrote_behind_the_mark() -> None:
    comment = f"Customers {OURS.mark}, one row each"
    assert owner_in(comment) == OURS
    assert OURS.added_to(comment) == f"Customers, one row each {OURS.mark}"


@pytest.mark.parametrize("text", ["[pgsnow-owner ]", "[pgsnow-owner table=a]", "[pgsnow-owner server=1/x/2]"])
def test_a_mark_that_a_person_has_broken_names_no_owner(text: str) -> None:
    assert owner_in(text) is None
    assert OURS.added_to(text) == OURS.mark


@pytest.mark.parametrize(
    ("found", "stayed", "expected"),
    [
        (None, True, Ownership.FREE),
        (OURS, True, Ownership.OURS),
        (replace(OURS, table="public.people"), False, Ownership.FOREIGN),
        (replace(OURS, ledger="77aa"), False, Ownership.FOREIGN),
        (replace(OURS, ledger="77aa", target="PROD.A.USERS"), False, Ownership.FREE),
        (replace(OURS, target="OLD.A.USERS"), False, Ownership.OURS),
        (replace(OURS, source=replace(PROD, name="staging", oid=1)), False, Ownership.FOREIGN),
        (replace(OURS, source=replace(PROD, name="renamed")), True, Ownership.OURS),
        (replace(OURS, source=replace(PROD, system="8000")), False, Ownership.MOVED),
        (replace(OURS, source=replace(PROD, oid=20000)), False, Ownership.MOVED),
        (replace(OURS, source=replace(PROD, timeline=2)), False, Ownership.MOVED),
        (replace(OURS, source=replace(PROD, timeline=2)), True, Ownership.FOREIGN),
        (replace(OURS, source=replace(PROD, system="", timeline=0)), True, Ownership.OURS),
    ],
)
def test_whose_a_target_is(found: Owner | None, stayed: bool, expected: Ownership) -> None:
    assert ownership(found, OURS, stayed=stayed) is expected


def test_a_row_that_is_used_in_turns_is_refused_and_any_other_change_is_followed() -> None:
    """Once the other configuration has ended, the row may go back."""
    assert places_after([], A, in_use=True) == (A,)
    assert places_after([A], B, in_use=True) == (B, A)
    assert places_after([B, A], C, in_use=True) == (C, B, A)
    assert places_after([B, A], A, in_use=True) is None
    assert places_after([B, A], A, in_use=False) == (A, B)


def test_what_a_role_may_not_read_tells_no_places_apart() -> None:
    unknown = replace(A, system="")
    assert places_after([A, B], unknown, in_use=True) == (unknown, B)


@given(st.lists(st.sampled_from([A, B, C]), max_size=30))
def test_no_row_remembers_a_place_twice(steps: list[Place]) -> None:
    known: tuple[Place, ...] = ()
    for step in steps:
        known = places_after(known, step, in_use=False) or known
    assert len(set(known)) == len(known)
    assert not steps or known[0] == steps[-1]
