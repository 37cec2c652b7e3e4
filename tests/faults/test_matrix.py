"""The fault matrix. Whatever fails, wherever, while rows are loaded in whatever way: the checkpoint is not ahead of
what is durable, the error is one that names its side and says what to do, and the next ticks make source and target
equal, cell by cell, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsnow.model.errors import PgsnowError
from tests.faults.conftest import Trials
from tests.faults.matrix.cases import CASES, Case, Outcome, carry_out

SAMPLE_LOADS = ("merge", "log", "staged files")
SAMPLE_EVERY = 13
"""Of the cases of these loads, each 13th runs in `make test`: 13 shares no factor with the number of ways to fail."""
SAMPLE = frozenset([case for case in CASES if case.load in SAMPLE_LOADS][::SAMPLE_EVERY])

pytestmark = pytest.mark.usefixtures("_short_waits")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in SAMPLE else pytest.mark.thorough) for case in CASES],
    ids=str,
)
def test_nothing_is_lost_or_doubled(trials: Trials, case: Case) -> None:
    """See the module. A fault that the tick repairs by itself is in no report."""
    trial = trials.of(case.load)
    try:
        before = trial.checkpoint()
        outcome = carry_out(trial, case)
        trial.heal()
        trial.not_ahead(before)
        assert_right(outcome, case)
        trial.repaired()
    except BaseException:
        trials.close(case.load)
        raise


def assert_right(outcome: Outcome, case: Case) -> None:
    """Each error that the tick reports is of the side that failed, and says what to do."""
    if isinstance(outcome, PgsnowError):
        assert type(outcome).__name__ in case.may_raise, repr(outcome)
        assert outcome.advice
        return
    for report in outcome:
        if report.error:
            assert report.error_type in case.may_raise, (report.error_type, report.error)
            assert report.advice, report.error


def test_the_matrix_is_as_large_as_the_page_says() -> None:
    """The page counts the cases."""
    text = Path("docs/reliability.md").read_text()
    assert f"{len(CASES)} cases" in text
