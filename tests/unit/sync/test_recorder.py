"""Phases of a run are exclusive: each block has its own share, and the sum is at most the run's seconds."""

from __future__ import annotations

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.batch import LoadResult
from pgsnow.model.errors import LeaseLost, ShuttingDown, SourceUnavailable
from pgsnow.model.report import Status
from pgsnow.sync.runtime.recorder import PhaseClock, Recorder
from pgsnow.sync.runtime.report import failure_report, table_report

NAMES = st.sampled_from(["connect", "prepare", "transform", "read"])
SECONDS = st.integers(0, 50)


@dataclass
class Time:
    """A clock that goes on when it is told to."""

    now: int = 0

    def __call__(self) -> float:
        return self.now


@dataclass
class Block:
    """A timed block: `before` seconds, then blocks within it with `after` seconds after each. measured: a block that
    was timed elsewhere, and is counted at its end."""

    phase: str
    before: int
    within: list[tuple[Block, int]] = field(default_factory=list)
    fails: bool = False
    measured: bool = False

    def run(self, clock: PhaseClock, time: Time, own: Counter[str]) -> None:
        if self.measured:
            time.now += self.before
            own[self.phase] += self.before
            clock.spent(self.phase, self.before)
            return
        with clock.timed(self.phase):
            time.now += self.before
            own[self.phase] += self.before
            for block, after in self.within:
                with contextlib.suppress(SourceUnavailable):
                    block.run(clock, time, own)
                time.now += after
                own[self.phase] += after
            if self.fails:
                raise SourceUnavailable("cut")


LEAVES = st.builds(Block, NAMES, SECONDS, fails=st.booleans(), measured=st.booleans())
BLOCKS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Block, NAMES, SECONDS, st.lists(st.tuples(inner, SECONDS), max_size=4), st.booleans()
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(BLOCKS, SECONDS), max_size=5))
def test_every_block_counts_its_own_share_alone(blocks: list[tuple[Block, int]]) -> None:
    time = Time()
    recorder = Recorder("t", "T", "r", clock=PhaseClock(time))
    own: Counter[str] = Counter()
    for block, after in blocks:
        with contextlib.suppress(SourceUnavailable):
            block.run(recorder.clock, time, own)
        time.now += after
    assert {phase: seconds for phase, seconds in recorder.phases.items() if seconds} == dict(+own)
    report = table_report(recorder)
    assert report.seconds == time.now
    assert sum(report.phases.values()) == sum(own.values()) <= report.seconds


def test_a_login_in_the_midst_of_a_transform_is_not_of_the_transform() -> None:
    time = Time()
    clock = PhaseClock(time)
    with clock.timed("transform"):
        time.now += 1
        with clock.timed("prepare"):
            time.now += 2
            with clock.timed("connect"):
                time.now += 9
            time.now += 3
        time.now += 1
    assert clock.seconds == {"transform": 2, "prepare": 5, "connect": 9}


def test_what_another_thread_does_meanwhile_is_not_counted_twice() -> None:
    time = Time()
    recorder = Recorder("t", "T", "r", clock=PhaseClock(time))

    def upload() -> None:
        with recorder.timed("connect"):
            time.now += 7

    with ThreadPoolExecutor(1) as pool, recorder.timed("read"):
        pool.submit(upload).result()
    assert recorder.phases == {"read": 7}


def test_a_run_may_go_on_in_another_thread() -> None:
    time = Time()
    recorder = Recorder("t", "T", "r", clock=PhaseClock(time))
    with recorder.timed("plan"):
        time.now += 1

    def run() -> None:
        recorder.clock.attach()
        with recorder.timed("read"):
            time.now += 2

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()
    with recorder.timed("write"):
        time.now += 4
    assert recorder.phases == {"plan": 1, "read": 2}


@given(st.integers(1, 4), st.lists(st.integers(0, 100), min_size=4, max_size=4))
def test_threads_that_work_side_by_side_add_up_to_no_more_than_has_passed(
    threads: int, busy: list[int]
) -> None:
    time = Time()
    recorder = Recorder("t", "T", "r", clock=PhaseClock(time))
    parts = [recorder.for_thread() for _ in range(threads)]
    for part, seconds in zip(parts, busy, strict=False):
        part.clock.spent("copy", seconds)
        part.rows_read += seconds
    time.now += max(busy[:threads])
    for part in parts:
        recorder.add(part, threads=threads)
    assert recorder.rows_read == sum(busy[:threads])
    report = table_report(recorder)
    assert report.phases["copy"] == pytest.approx(sum(busy[:threads]) / threads, abs=1e-5)
    assert sum(report.phases.values()) <= report.seconds


def test_phases_are_rounded_so_that_they_never_exceed_the_seconds() -> None:
    recorder = Recorder("t", "T", "r", clock=PhaseClock(lambda: 0.0))
    recorder.applied(LoadResult(seconds={"copy": 1.0000019, "merge": 2.5}))
    assert table_report(recorder).phases == {"copy": 1.000001, "merge": 2.5}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LeaseLost("taken"), Status.LOCKED),
        (ShuttingDown("stopped"), Status.STOPPED),
        (SourceUnavailable("cut"), Status.ERROR),
        (ZeroDivisionError("oops"), Status.ERROR),
    ],
)
def test_an_error_ends_a_run_in_a_status_of_its_kind(error: Exception, status: Status) -> None:
    report = failure_report(Recorder("t", "T", "r"), error)
    assert (report.status, report.error_type) == (status, type(error).__name__)
