"""The overview's list: filters, orders and pages, as values; and the forms of numbers on a page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.integrations.fastapi import rendering
from pgsnow.integrations.fastapi.table_list import ORDERS, PAGE, ListQuery, listed
from pgsnow.integrations.fastapi.words import TABLE_STATES, TONES, shown_state
from pgsnow.operations.status.overview_table import OverviewTable, RowCounts
from pgsnow.operations.status.table_state import HealthState

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PLAIN = OverviewTable(
    name="public.users",
    target="D.A.USERS",
    state=HealthState.SYNCED,
    why="",
    advice="",
    mode="watermark",
    read_mode="watermark",
    lag_seconds=40.0,
    lag_covers="",
    behind=False,
    behind_after=400.0,
    last_run=NOON,
    last_success=NOON,
    next_attempt=None,
    rows_processed=0,
    day_rows=RowCounts(),
    last_error=None,
    consecutive_failures=0,
    open_rejected=0,
    differences=0,
    staged_rows=0,
    pause=None,
    backfill=None,
)
TABLES = st.lists(
    st.builds(
        replace,
        st.just(PLAIN),
        name=st.text("abÄ.%_<\"'", min_size=1, max_size=5),
        state=st.sampled_from(HealthState),
        behind=st.booleans(),
        lag_seconds=st.none() | st.floats(0, 1e6),
        last_success=st.none() | st.integers(0, 9).map(lambda hours: NOON - timedelta(hours=hours)),
        rows_processed=st.integers(0, 3),
    ),
    max_size=3 * PAGE,
)
QUERIES = st.builds(
    ListQuery,
    text=st.text("abÄ. ", max_size=3),
    state=st.sampled_from(["", *TONES, "nonsense"]),
    sort=st.sampled_from([*ORDERS, "nonsense"]),
    turned=st.booleans(),
    page=st.integers(-1, 9),
)


@given(TABLES, QUERIES)
def test_the_pages_of_a_list_hold_each_table_that_matches_once(
    tables: list[OverviewTable], query: ListQuery
) -> None:
    """Whatever is asked for, no table that matches is missing from the pages, none is there twice, the order holds
    across pages, and the counts by state are those of all tables with that name."""
    first = listed(tables, replace(query, page=1))
    shown = [
        table
        for page in range(1, first.pages + 1)
        for table in listed(tables, replace(query, page=page)).tables
    ]
    text = query.text.strip().casefold()
    named = [table for table in tables if text in table.name.casefold() or text in table.target.casefold()]
    wanted = [table for table in named if query.state in ("", shown_state(table).word)]
    assert sorted(map(id, shown)) == sorted(map(id, wanted))
    assert (first.found, first.total) == (len(wanted), len(named))
    assert sum(first.states.values()) == len(named)
    keys = [ORDERS[first.query.sort](table) for table in shown]
    assert keys in (sorted(keys), sorted(keys, reverse=True))


@given(QUERIES)
def test_the_address_of_a_list_says_what_is_asked_for(query: ListQuery) -> None:
    """An address can be sent to a colleague, who sees the same list."""
    given_ = {name: values[0] for name, values in parse_qs(query.address(page=query.page)[1:]).items()}
    text, state = given_.get("q", ""), given_.get("state", "")
    assert (text, state, given_.get("sort", "worst")) == (query.text, query.state, query.sort)
    assert int(given_.get("page", 1)) == max(query.page, 1)
    assert ("turned" in given_) == query.turned


def test_another_filter_or_order_begins_at_the_first_page() -> None:
    """Page 3 of one list says nothing about another."""
    query = ListQuery(page=3)
    assert query.address(state="failed") == "?state=failed"
    assert query.sorted_by("lag") == "?sort=lag"
    assert replace(query, sort="lag").sorted_by("lag") == "?sort=lag&turned=1"


def test_every_state_has_a_word_of_its_own() -> None:
    """No two states look alike, and each has a tone, which gives a shape and a colour."""
    assert set(TABLE_STATES) == set(HealthState)
    assert len({shown.word for shown in TABLE_STATES.values()}) == len(HealthState)
    assert {shown.tone for shown in TABLE_STATES.values()} <= {"good", "calm", "busy", "warn", "bad", "off"}
    assert TABLE_STATES[HealthState.IDLE] != TABLE_STATES[HealthState.STUCK]


def test_a_table_that_is_well_except_for_its_lag_is_behind() -> None:
    """A failed table stays failed, however far behind it is."""
    assert shown_state(replace(PLAIN, behind=True)).word == "behind"
    assert shown_state(replace(PLAIN, behind=True, state=HealthState.FAILED)).word == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rendering.number(12345), "12,345"),
        (rendering.number(1_284_022), "1.28 M"),
        (rendering.number(None), "–"),
        (rendering.compact(9_999), "9,999"),
        (rendering.compact(12_240), "12.2k"),
        (rendering.compact(999_960), "1M"),
        (rendering.compact(961_700), "962k"),
        (rendering.compact(1_284_022), "1.28M"),
        (rendering.decimal(0.0254), "0.025"),
        (rendering.decimal(0.0), "0"),
        (rendering.decimal(140.2), "140"),
        (rendering.size(512), "512 B"),
        (rendering.size(1_400_000), "1.4 MB"),
        (rendering.duration(0.085), "85 ms"),
        (rendering.duration(1.239), "1.24 s"),
        (rendering.duration(185), "3 min 5 s"),
        (rendering.duration(7500), "2 h 5 min"),
        (rendering.age(119.9), "119 s"),
        (rendering.age(120), "2 min"),
        (rendering.age(7200), "2 h"),
        (rendering.age(-3), "0 s"),
        (str(rendering.prose("run `pgsnow run` <now>")), "run <code>pgsnow run</code> &lt;now&gt;"),
    ],
)
def test_numbers_have_a_short_form(text: str, expected: str) -> None:
    """Numbers align and stay short, with their unit, and say what is not known."""
    assert text == expected
