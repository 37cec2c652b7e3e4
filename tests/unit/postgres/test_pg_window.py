"""Windows and bounds as text, and the arithmetic of 32-bit xids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL, Literal

from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.config.sync_config import LateRows
from pgsnow.postgres.incremental.strategy import mode_of, reason_in_xids, reason_to_read_all, seen_xid
from pgsnow.postgres.incremental.window import EPOCH, HALF, Window, lookback_bound, lower_bound
from pgsnow.postgres.sql import text_of
from tests.unit.postgres.plans import HERE, checkpoint, horizon, plan

LOW = "2026-01-01 00:00:00+00"


def shown(kind: str, **options: Any) -> str:
    bound = lower_bound(plan(kind, max_skew=10, **options), LOW)
    assert bound is not None
    return text_of(bound)


class TestBounds:
    MOMENT = f"('{LOW}'::timestamptz - make_interval(secs => 10.0))"

    def test_with_a_zone_only_the_skew_is_taken_off(self) -> None:
        assert shown("timestamptz") == self.MOMENT

    @pytest.mark.parametrize(("zone", "hours"), [(None, 26), ("UTC", 0), ("Europe/Berlin", 3)])
    def test_without_one_what_writers_zones_can_differ_by(self, zone: str | None, hours: int) -> None:
        local = f"(({self.MOMENT} at time zone '{zone or 'UTC'}') - make_interval(hours => {hours}))"
        assert shown("timestamp", watermark_timezone=zone) == local
        assert shown("date", watermark_timezone=zone) == f"({local}::date - 1)"

    def test_an_integers_is_a_value(self) -> None:
        bound = lower_bound(plan("int8"), "42")
        assert bound is not None
        assert text_of(bound) == "42"

    def test_none_is_above_the_newest_watermark_read(self) -> None:
        bound = lower_bound(plan(max_skew=10), LOW, at_most="2025-01-01 00:00:00+00")
        assert bound is not None
        assert text_of(bound) == f"least({self.MOMENT}, '2025-01-01 00:00:00+00'::timestamptz)"
        of_integers = lower_bound(plan("int8"), "42", at_most="40")
        assert of_integers is not None
        assert text_of(of_integers) == "40"

    def test_an_unknown_one_is_none(self) -> None:
        assert lower_bound(plan(), "-infinity") is None

    def test_a_lookback_counts_from_the_last_watermark_or_from_now(self) -> None:
        bound = lookback_bound(plan(lookback=60), checkpoint(last_watermark=LOW), horizon())
        assert bound is not None
        assert text_of(bound) == (
            f"(least('{LOW}'::timestamptz, '2026-01-02 00:00:05+00'::timestamptz::timestamptz)"
            " - make_interval(secs => 60.0))::timestamptz"
        )
        assert lookback_bound(plan(), checkpoint(last_watermark=None), horizon()) is None
        of_integers = lookback_bound(plan("int8", lookback=60), checkpoint(last_watermark="100"), horizon())
        assert of_integers is not None
        assert text_of(of_integers) == "40"


def test_the_whole_condition() -> None:
    window = Window(plan(where="v <> '{}'"), EPOCH + 5, SQL("B"), frozenset({EPOCH + 9, EPOCH + 7}))
    assert text_of(window.condition(Literal(EPOCH + 20))) == (
        """("w" >= B or "w" is null)"""
        "\n  and mod(xmin::text::bigint - 5 + 4294967296, 4294967296) < 4294967316 - 4294967301"
        "\n  and (4294967301 + mod(xmin::text::bigint - 5 + 4294967296, 4294967296))"
        " <> all ('{4294967303,4294967305}'::bigint[])"
        "\n  and (v <> '{}'\n)"
    )


def test_after_a_restart_new_rows_are_read_whatever_their_xid() -> None:
    """Also those under an xid that was seen: a restored server has given it to another transaction."""
    window = Window(plan(), 5, SQL("B"), frozenset({7}), always_from=SQL("L"), nulls=True)
    assert text_of(window.condition(Literal(20))) == (
        """("w" >= B or "w" is null)"""
        "\n  and (mod(xmin::text::bigint - 5 + 4294967296, 4294967296) < 20 - 5"
        "\n  and (5 + mod(xmin::text::bigint - 5 + 4294967296, 4294967296)) <> all ('{7}'::bigint[])"
        """ or "w" >= L or "w" is null)"""
    )


@given(st.integers(0, 2**40), st.integers(0, HALF - 1), st.integers(0, HALF - 1))
def test_32_bits_tell_whether_a_visible_row_is_in_the_window(since: int, width: int, distance: int) -> None:
    """The window's arithmetic, for any xid in it and any from before it that is not frozen, less than 2^31 back."""
    xmax = since + width

    def is_in(xid: int) -> bool:
        return (xid % EPOCH - since % EPOCH + EPOCH) % EPOCH < xmax - since

    if distance < width:
        inside = since + distance
        assert is_in(inside)
        assert since + (inside % EPOCH - since % EPOCH + EPOCH) % EPOCH == inside
    assert not is_in(max(since - 1 - distance, 0)) or since == 0


class TestSeenXids:
    WINDOW = Window(plan(), 1000, SQL("B"))

    def test_a_visible_row_proves_that_its_transaction_has_ended(self) -> None:
        text = text_of(seen_xid(plan(), self.WINDOW, EPOCH - 1, horizon(), None))
        assert text == "(1000 + mod(xmin::text::bigint - 1000 + 4294967296, 4294967296))"

    def test_after_the_first_wraparound_only_together_with_its_watermark(self) -> None:
        text = text_of(seen_xid(plan(), self.WINDOW, EPOCH, horizon(), None))
        assert text.startswith('case when "w" >= B and "w" <= (')
        assert text_of(seen_xid(plan(), Window(plan(), 1000, None), EPOCH, horizon(), None)) == "null::bigint"


class TestReasons:
    @pytest.mark.parametrize(
        ("kind", "sequence", "mode"),
        [
            ("timestamptz", None, ReadMode.WATERMARK),
            ("date", None, ReadMode.WATERMARK),
            ("int8", (1, 1), ReadMode.WATERMARK),
            ("int8", (1, 50), ReadMode.XMIN),
            ("int8", (2, 1), ReadMode.XMIN),
            ("int8", (1, -1), ReadMode.XMIN),
            ("int4", None, ReadMode.XMIN),
        ],
    )
    def test_modes(self, kind: str, sequence: tuple[int, int] | None, mode: ReadMode) -> None:
        assert mode_of(plan(kind, sequence=sequence), None) is mode
        assert mode_of(plan(kind, sequence=sequence, late_rows="off"), None) is ReadMode.CURSOR
        assert mode_of(plan(kind, sequence=sequence, late_rows="lookback"), None) is ReadMode.LOOKBACK

    def test_xmin_mode_stays(self) -> None:
        assert mode_of(plan(), checkpoint(mode=ReadMode.XMIN)) is ReadMode.XMIN
        assert mode_of(plan(late_rows="off"), checkpoint(mode=ReadMode.XMIN)) is ReadMode.CURSOR

    def test_a_checkpoint_of_this_server_can_be_followed(self) -> None:
        assert checkpoint().identity == HERE
        assert reason_to_read_all(plan(), checkpoint(), horizon()) is None
        assert reason_in_xids(checkpoint(x=1000), 1000, 1000 + HALF - 1) is None

    def test_a_cursor_read_that_never_got_to_a_page_starts_over(self) -> None:
        broken = checkpoint(mode=ReadMode.CURSOR, cursor=None)
        assert reason_to_read_all(plan(late_rows="off"), broken, horizon()) is not None

    @pytest.mark.parametrize(("x", "xmax"), [(999, 2000), (1000, 1000 + HALF)])
    def test_xids_that_went_back_or_too_far(self, x: int, xmax: int) -> None:
        assert reason_in_xids(checkpoint(x=1000), x, xmax) is not None

    @pytest.mark.parametrize("late_rows", list(LateRows))
    def test_every_mode_goes_on_with_its_own_checkpoint(self, late_rows: LateRows) -> None:
        its_plan = plan(late_rows=late_rows)
        mode = mode_of(its_plan, None)
        its_checkpoint = checkpoint(mode=mode, cursor=("w", "1") if mode is ReadMode.CURSOR else None)
        assert reason_to_read_all(its_plan, its_checkpoint, horizon()) is None
