"""The column that shows changes is chosen by how far it can be trusted, then by what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.discovery.survey import ColumnFacts
from pgsnow.model.discovery.watermark_choice import Trust, rank, unproven
from tests.unit.model.surveyed import ID, UPDATED, column, surveyed

CREATED = column("created_at", "timestamptz", not_null=True)
NOW = ColumnFacts(default_is_now=True)
OVER_A_YEAR = ColumnFacts(default_is_now=True, days=365.0)
MOVED = ColumnFacts(later=0.4)


def best(table: object) -> tuple[str, Trust]:
    first = rank(table)[0]  # type: ignore[arg-type]
    return first.column, first.trust


def test_a_column_that_a_trigger_sets_is_trusted_most_whatever_its_name() -> None:
    at = column("at", "timestamp")
    assert best(surveyed(ID, UPDATED, at, facts={"at": ColumnFacts(set_on_update=True)})) == (
        "at",
        Trust.BY_TRIGGER,
    )


@pytest.mark.parametrize(
    "name",
    [
        "updated_at",
        "LastModified",
        "last_update",
        "changed_on",
        "mtime",
        "edited",
        "date_modified",
        "dateChanged",
    ],
)
def test_a_name_that_speaks_of_changes_is_believed_once_the_data_shows_it(name: str) -> None:
    table = surveyed(ID, CREATED, column(name, "timestamptz"), facts={"created_at": NOW, name: MOVED})
    assert best(table) == (name, Trust.BY_DATA)
    assert unproven(table, name) == ""


@pytest.mark.parametrize("later", [None, 0.0, 0.05])
def test_a_name_alone_is_no_evidence(later: float | None) -> None:
    """`updated_at timestamptz default now()` that nothing maintains looks like this."""
    table = surveyed(ID, CREATED, UPDATED, facts={"updated_at": ColumnFacts(True, later=later)})
    [candidate, *_] = rank(table)
    assert (candidate.column, candidate.trust) == ("updated_at", Trust.BY_NAME)
    assert not candidate.is_watermark
    assert "no trigger sets it" in unproven(table, "updated_at")


def test_counted_rows_need_fewer_that_moved_than_an_estimate() -> None:
    table = surveyed(ID, CREATED, UPDATED, facts={"updated_at": ColumnFacts(later=0.02)})
    assert not rank(table)[0].is_watermark
    assert rank(replace(table, profiled=True))[0].is_watermark


@pytest.mark.parametrize(
    "name", ["created_at", "payment_date", "birthday", "at", "credited_at", "exchange_date"]
)
def test_a_time_that_something_happened_shows_no_change(name: str) -> None:
    [candidate, *_] = rank(surveyed(ID, column(name, "timestamptz", not_null=True)))
    assert candidate.trust is Trust.NONE


def with_history(**more: object) -> object:
    """A table whose 1,000 rows were inserted in 1,000 transactions over a year, as a scan has found."""
    table = surveyed(
        ID, CREATED, facts={"created_at": OVER_A_YEAR}, inserts=1000, profiled=True, transactions=1000
    )
    grown = replace(table, source=replace(table.source, estimated_rows=1000))
    return replace(grown, **more)  # type: ignore[arg-type]


def test_rows_that_never_change_may_be_followed_by_when_they_were_made() -> None:
    assert best(with_history()) == ("created_at", Trust.IF_APPEND_ONLY)


@pytest.mark.parametrize(
    "more",
    [
        {"updates": 1},
        {"inserts": 999},
        {"profiled": False},
        {"transactions": 1},
        {"transactions": None},
        {"facts": {"created_at": ColumnFacts(default_is_now=True, days=1.0)}},
    ],
    ids=["updates", "counters reset", "not scanned", "restored", "unknown", "a day"],
)
def test_counters_without_history_prove_nothing(more: dict[str, object]) -> None:
    """After a restore one transaction has written all rows, and all counters are near zero."""
    assert not any(candidate.is_watermark for candidate in rank(with_history(**more)))  # type: ignore[arg-type]


def test_a_sequence_is_no_watermark_where_rows_may_change() -> None:
    assert best(surveyed(ID, inserts=10, updates=1))[1] is Trust.NONE
    assert best(surveyed(ID, inserts=10))[1] is Trust.NONE
    assert "nothing shows that rows never change" in unproven(surveyed(ID, inserts=10), "id")
    assert unproven(surveyed(ID, sequences=()), "id") == "", "it is read by transaction id anyway"


@pytest.mark.parametrize("sequences", [(), (("id", 20, 1),), (("id", 1, -1),), (("id", 1, 1), ("id", 1, 1))])
def test_an_integer_that_no_single_sequence_orders_is_read_by_transaction_id(
    sequences: tuple[tuple[str, int, int], ...],
) -> None:
    """The reader does so by itself then, and finds updates too; so it is a better choice than a creation time."""
    table = surveyed(ID, CREATED, sequences=sequences, facts={"created_at": NOW}, inserts=10)
    assert best(table) == ("id", Trust.BY_TRANSACTION)


def test_a_column_that_is_mostly_empty_is_not_believed_by_its_name() -> None:
    table = surveyed(ID, UPDATED, facts={"updated_at": ColumnFacts(null_share=0.9)})
    assert best(table)[1] is Trust.NONE


def test_a_generated_column_is_none() -> None:
    facts = ColumnFacts(generated=True, set_on_update=True)
    assert best(surveyed(ID, UPDATED, facts={"updated_at": facts}))[1] is Trust.NONE


def test_of_two_equally_trusted_columns_the_indexed_one_is_cheaper() -> None:
    other = column("modified_at", "date")
    facts = {"updated_at": MOVED, "modified_at": MOVED}
    assert best(surveyed(ID, UPDATED, other, indexed=["modified_at"], facts=facts))[0] == "modified_at"
    assert best(surveyed(ID, UPDATED, other, facts=facts))[0] == "updated_at"


def test_columns_of_other_types_are_no_candidates() -> None:
    assert rank(surveyed(column("updated_at", "text"), column("changed", "numeric"))) == ()


FACTS = st.builds(
    ColumnFacts,
    default_is_now=st.booleans(),
    generated=st.booleans(),
    set_on_update=st.booleans(),
    later=st.none() | st.floats(0, 1),
    null_share=st.none() | st.floats(0, 1),
    ascending=st.none() | st.floats(-1, 1),
)
TYPES = st.sampled_from(["timestamptz", "timestamp", "date", "int2", "int4", "int8", "text"])


@given(st.lists(st.tuples(TYPES, FACTS, st.booleans(), st.booleans()), max_size=6), st.integers(0, 2))
def test_no_cheaper_column_ever_beats_a_more_trusted_one(
    drawn: list[tuple[str, ColumnFacts, bool, bool]], updates: int
) -> None:
    columns = [column(f"updated_{at}", kind, not_null=nn) for at, (kind, _, nn, _) in enumerate(drawn)]
    indexed = [f"updated_{at}" for at, drawing in enumerate(drawn) if drawing[3]]
    facts = {f"updated_{at}": drawing[1] for at, drawing in enumerate(drawn)}
    ranked = rank(surveyed(ID, *columns, indexed=indexed, facts=facts, updates=updates))
    assert [c.trust for c in ranked] == sorted((c.trust for c in ranked), reverse=True)
    assert all(c.reasons for c in ranked)
    assert not any(c.is_watermark for c in ranked if facts.get(c.column, ColumnFacts()).generated)
