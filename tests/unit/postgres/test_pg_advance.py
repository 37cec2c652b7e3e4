"""The rules by which a checkpoint moves."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.checkpoint import MAX_SEEN, MAX_TRAIL, Checkpoint, Mark, ReadMode
from pgsnow.postgres.incremental.audit import AuditResult, after_audit, is_due
from pgsnow.postgres.incremental.next_checkpoint import (
    ReadPoint,
    next_checkpoint,
    next_low,
    still_open,
    with_mark,
)
from pgsnow.postgres.incremental.sequence import SequenceState
from tests.unit.postgres.plans import checkpoint, horizon, plan

STEP = ReadPoint(ReadMode.WATERMARK, x=2000, xmax=2010)


def test_the_bound_becomes_the_horizons() -> None:
    assert next_low(checkpoint(), horizon(low="L"), STEP) == "L"


def test_a_prepared_transaction_keeps_it_and_an_unknown_one_stays_unknown() -> None:
    assert next_low(checkpoint(low="before"), horizon(low="L", prepared=True), STEP) == "before"
    assert next_low(None, horizon(low="L", prepared=True), STEP) == "-infinity"


def test_on_a_standby_there_is_none() -> None:
    assert next_low(checkpoint(), horizon(standby=True), STEP) == "-infinity"
    assert next_low(checkpoint(), horizon(), replace(STEP, standby=True)) == "-infinity"


def test_an_integer_watermarks_is_its_sequences() -> None:
    step = ReadPoint(ReadMode.WATERMARK, 2000, 2010, SequenceState("50", "now", low="40"))
    assert next_low(checkpoint(), horizon(), step) == "40"
    assert next_checkpoint(checkpoint(), horizon(), step).trail[-1] == Mark("now", 2010, "40", "50")


def test_after_its_sequence_went_back_nothing_older_counts() -> None:
    step = ReadPoint(
        ReadMode.WATERMARK, 2000, 2010, SequenceState("1", "now", low="-infinity", restarted=True)
    )
    after = next_checkpoint(checkpoint(low="40"), horizon(prepared=True), step)
    assert after.low == "-infinity"
    assert [mark.value for mark in after.trail] == ["1"]


def test_a_full_read_starts_the_trail_and_the_audits_afresh() -> None:
    after = next_checkpoint(checkpoint(), horizon(), STEP, full=True, last_watermark="w")
    assert (after.audit_x, after.audited_at) == (2000, horizon().taken_at)
    assert len(after.trail) == 1
    assert after.last_watermark == "w"


def test_an_incremental_one_carries_them_on() -> None:
    after = next_checkpoint(checkpoint(last_watermark="before"), horizon(), STEP)
    assert (after.audit_x, after.last_watermark) == (900, "before")
    assert [mark.xmax for mark in after.trail] == [1001, 2010]
    assert Checkpoint.from_json(after.to_json()) == after


@given(st.frozensets(st.integers(0, 5000), max_size=50), st.integers(0, 5000))
def test_seen_xids_are_those_that_the_window_may_still_show(seen: frozenset[int], x: int) -> None:
    assert still_open(seen, x) == {xid for xid in seen if xid >= x}


def test_there_is_a_cap_on_seen_xids() -> None:
    assert len(still_open(range(10, 10 + 2 * MAX_SEEN), 0)) == MAX_SEEN


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=300))
def test_a_trail_stays_short_ordered_and_ends_with_the_newest(steps: list[tuple[int, bool]]) -> None:
    trail: tuple[Mark, ...] = ()
    xmax = 1
    for at, (more, _) in enumerate(steps):
        xmax += more
        trail = with_mark(trail, Mark(str(at), xmax, str(at)))
        assert trail[-1] == Mark(str(at), xmax, str(at))
        assert len(trail) <= MAX_TRAIL
        assert [mark.xmax for mark in trail] == sorted({mark.xmax for mark in trail})


def test_a_thinned_trail_keeps_all_of_its_newer_half() -> None:
    trail: tuple[Mark, ...] = ()
    for at in range(MAX_TRAIL + 1):
        trail = with_mark(trail, Mark(str(at), at, str(at)))
    half = MAX_TRAIL // 2
    assert [mark.xmax for mark in trail] == [*range(0, half, 2), *range(half, MAX_TRAIL + 1)]


def test_of_a_quiet_sequence_the_earlier_moment_is_kept() -> None:
    """By then it had given the value, and nothing since: the earlier moment bounds more."""
    trail = with_mark((Mark("early", 5, "1", "50"),), Mark("late", 5, "2", "50"))
    assert trail == (Mark("early", 5, "2", "50"),)


class TestAudits:
    def test_a_clean_one_keeps_the_newest_mark(self) -> None:
        """No mark saw the rows that the audit did not see, and the newest has the highest bound."""
        trail = tuple(Mark(str(at), at, "L") for at in (10, 20, 30, 40))
        after = after_audit(checkpoint(trail=trail), AuditResult(0, x=25, at="now"))
        assert [mark.xmax for mark in after.trail] == [40]
        assert (after.audit_x, after.audited_at, after.mode) == (25, "now", ReadMode.WATERMARK)

    def test_of_an_integer_watermark_older_marks_stay_for_older_transactions(self) -> None:
        trail = tuple(Mark(str(at), at, "L", "1") for at in (10, 20, 30, 40))
        after = after_audit(checkpoint(trail=trail), AuditResult(0, x=25, at="now"))
        assert [mark.xmax for mark in after.trail] == [20, 30, 40]

    def test_one_that_found_something_goes_back_to_the_last_clean_one(self) -> None:
        after = after_audit(checkpoint(seen=frozenset({1001})), AuditResult(3, x=2000, at="now"))
        assert (after.mode, after.x, after.seen) == (ReadMode.XMIN, 900, frozenset())

    def test_it_is_due_after_its_time_and_in_watermark_mode_only(self) -> None:
        hourly, then = plan(audit_every=3600), "2026-01-01 23:00:05+00"
        assert is_due(hourly, checkpoint(audited_at=then), horizon())
        assert not is_due(hourly, checkpoint(audited_at="2026-01-01 23:00:06+00"), horizon())
        assert not is_due(hourly, checkpoint(audited_at=then, mode=ReadMode.XMIN), horizon())
        assert not is_due(plan(audit_every=0), checkpoint(audited_at=then), horizon())
        assert is_due(hourly, checkpoint(audited_at=None), horizon())
