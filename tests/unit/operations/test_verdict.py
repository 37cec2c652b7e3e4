"""The word for the whole sync, and the sentence that explains it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.operations.status.overview_table import OverviewTable, RowCounts
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.verdict import SyncVerdict, Word, verdict_of

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
INTERVAL = 120.0
TABLE = OverviewTable(
    name="public.users",
    target="A.B.USERS",
    state=HealthState.IDLE,
    why="",
    advice="",
    mode="watermark",
    read_mode="watermark",
    lag_seconds=40.0,
    lag_covers="",
    behind=False,
    behind_after=390.0,
    last_run=NOW - timedelta(seconds=40),
    last_success=NOW - timedelta(seconds=40),
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


def table(name: str, state: HealthState = HealthState.IDLE, **fields: Any) -> OverviewTable:
    return replace(TABLE, name=name, state=state, **fields)


def verdict(*tables: OverviewTable, ago: float | None = 40.0) -> SyncVerdict:
    last = None if ago is None else NOW - timedelta(seconds=ago)
    return verdict_of(sorted(tables, key=lambda one: one.severity), last, INTERVAL, NOW)


def test_nothing_changed_and_stopped_are_different_words() -> None:
    """Tables without changes are fresh as long as workers tick, and never once they do not."""
    assert verdict(table("a"), table("b")).word is Word.FRESH
    assert verdict(table("a"), table("b")).reason == "All 2 tables are up to date."
    silent = verdict(table("a"), table("b"), ago=3600)
    assert silent.word is Word.STOPPED
    assert "60 min" in silent.reason
    assert "worker" in silent.advice


@pytest.mark.parametrize(
    ("worst", "word", "named"),
    [
        (table("public.bad", HealthState.FAILED, last_error="no grant"), Word.FAILING, "no grant"),
        (table("public.bad", HealthState.DIFFERENT, differences=3), Word.FAILING, "3 rows"),
        (table("public.bad", HealthState.PARTIAL, open_rejected=1), Word.BEHIND, "1 row"),
        (table("public.bad", HealthState.UNVERIFIED, why="restored"), Word.BEHIND, "restored"),
        (table("public.bad", HealthState.STUCK, behind=True, lag_seconds=7200.0), Word.BEHIND, "2.0 h"),
        (table("public.bad", HealthState.SYNCED, behind=True, lag_seconds=7200.0), Word.BEHIND, "2.0 h"),
        (table("public.bad", HealthState.NEVER, last_success=None), Word.STARTING, "not run yet"),
        (
            table("public.bad", HealthState.RUNNING, last_success=None, why="40 % are loaded"),
            Word.STARTING,
            "40 %",
        ),
    ],
)
def test_the_reason_names_the_table_and_what_is_wrong(worst: OverviewTable, word: Word, named: str) -> None:
    """Each word but `fresh` comes with the table that causes it."""
    found = verdict(table("public.good"), worst)
    assert found.word is word
    assert "public.bad" in found.reason
    assert named in found.reason
    assert found.table == "public.bad"


def test_a_table_that_no_run_has_seen_is_named_before_milder_troubles() -> None:
    """The list shows it first, too: a rejected row of another table must not hide that this one stands still."""
    stuck = table("public.stuck", HealthState.STUCK, behind=True, lag_seconds=600.0)
    late = table("public.late", HealthState.SYNCED, behind=True, lag_seconds=7200.0)
    restored = table("public.restored", HealthState.UNVERIFIED, why="restored")
    rejected = table("public.rejected", HealthState.PARTIAL, open_rejected=1)
    found = [restored, rejected, late, stuck]
    assert verdict(*found).reason.startswith("public.stuck is 10 min behind, and 1 more table is late")
    assert verdict(*found[:3]).table == "public.restored"
    assert verdict(*found[1:3]).table == "public.late"
    assert verdict(rejected).table == "public.rejected"


def test_many_failed_tables_are_one_sentence() -> None:
    """Twenty tables behind one dead connection do not fill the page: the first is named, the others are counted."""
    failed = [table(f"public.t{n:02}", HealthState.FAILED, last_error="no route to host") for n in range(20)]
    assert verdict(*failed).reason == "public.t00 and 19 more tables have stopped: no route to host."


def test_a_paused_table_does_not_change_the_word() -> None:
    """A person has paused it on purpose; the sentence counts it. If every table is paused, nothing is synced."""
    paused = table("public.old", HealthState.PAUSED, lag_seconds=90_000.0)
    found = verdict(table("public.users"), paused)
    assert (found.word, found.reason) == (
        Word.FRESH,
        "public.users is up to date; 1 other is paused.",
    )
    assert verdict(paused).word is Word.BEHIND


def test_before_the_first_tick_the_next_step_is_told() -> None:
    """An empty ledger is not a failure: the page says how to begin."""
    found = verdict(table("a", HealthState.NEVER, last_success=None), ago=None)
    assert found.word is Word.EMPTY
    assert "pgsnow run" in found.advice


STATES = st.sampled_from([*HealthState])


@given(st.lists(st.tuples(STATES, st.booleans()), min_size=1, max_size=8), st.integers(0, 5000))
def test_fresh_is_never_said_of_a_sync_that_is_not(states: list[tuple[HealthState, bool]], ago: int) -> None:
    """`fresh` means: a worker ticks, and no table that counts has failed, differs, lacks rows or is late."""
    tables = [
        table(f"t{n}", state, behind=late and state not in (HealthState.PAUSED, HealthState.OFF))
        for n, (state, late) in enumerate(states)
    ]
    found = verdict(*tables, ago=ago)
    bad = {
        HealthState.FAILED,
        HealthState.DIFFERENT,
        HealthState.PARTIAL,
        HealthState.UNVERIFIED,
    }
    well = not any(one.behind or one.state in bad for one in tables) and any(one.counts for one in tables)
    assert (found.word is Word.STOPPED) == (ago > 390)
    assert found.reason.endswith(".")
    if found.word is Word.FRESH:
        assert well
