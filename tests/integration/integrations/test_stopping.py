"""A tick is asked to stop by whatever ends its worker, is waited for, and is never torn apart."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable

import pytest

from pgsnow.integrations.celery.shutdown import SharedFlag, run_stoppable
from tests.progress import CEILING


class LongWork:
    """Ends when it is asked to, and says whether it came to its end."""

    def __init__(self, begun: Callable[[], None] = lambda: None) -> None:
        self.begun = begun
        self.stopped = threading.Event()
        self.ended = False

    def __call__(self) -> str:
        self.begun()
        assert self.stopped.wait(CEILING), "nobody asked it to stop"
        self.ended = True
        return "stopped"


def test_work_that_ends_by_itself_is_not_asked_to_stop() -> None:
    asked = threading.Event()
    assert run_stoppable(lambda: "done", asked.set, SharedFlag()) == "done"
    assert not asked.is_set()


def test_what_the_work_raises_is_raised_and_stops_nothing() -> None:
    """An engine that is stopped stays stopped, and the retry needs it."""
    asked = threading.Event()

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_stoppable(fail, asked.set, SharedFlag())
    assert not asked.is_set()


def test_a_flag_that_is_set_meanwhile_stops_the_work() -> None:
    flag = SharedFlag()
    work = LongWork(begun=flag.set)
    assert run_stoppable(work, work.stopped.set, flag) == "stopped"


def test_a_flag_set_by_the_parent_after_the_fork_is_seen_by_the_child() -> None:
    """As between a worker's main process and its pool."""
    flag = SharedFlag()
    fork = multiprocessing.get_context("fork")
    begun, result = fork.Event(), fork.SimpleQueue()

    def child() -> None:
        work = LongWork(begun=begun.set)
        result.put(run_stoppable(work, work.stopped.set, flag))

    process = fork.Process(target=child)
    process.start()
    try:
        assert begun.wait(CEILING)
        flag.set()
        process.join(CEILING)
        assert process.exitcode == 0
        assert result.get() == "stopped"
    finally:
        process.kill()


def test_an_interruption_asks_the_work_to_stop_and_waits_for_it() -> None:
    """A soft time limit or Ctrl-C is an exception in the waiting thread: it goes up only after the work has ended."""

    class TimeIsUp(BaseException):
        pass

    class Impatient(SharedFlag):
        def __bool__(self) -> bool:
            raise TimeIsUp

    work = LongWork()
    with pytest.raises(TimeIsUp):
        run_stoppable(work, work.stopped.set, Impatient())
    assert work.ended
