"""One a process: shared by its threads, never with its children."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pgsnow.integrations.per_process import OnePerProcess


class Made:
    """Knows the process it was made in, and how often it was closed."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Maker:
    """Makes, and keeps all that it has made."""

    def __init__(self) -> None:
        self.made: list[Made] = []

    def __call__(self) -> Made:
        self.made.append(Made())
        return self.made[-1]


def in_a_fork(action: Callable[[], bool]) -> int:
    """The exit status of a child that runs the action: 0 if it returned True."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if action() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_nothing_is_made_before_it_is_asked_for() -> None:
    maker = Maker()
    OnePerProcess(maker).close()
    assert maker.made == []


def test_threads_that_ask_at_once_get_the_same_one() -> None:
    maker = Maker()
    slot = OnePerProcess(maker)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: slot.get(), range(64)))
    assert len({id(one) for one in given}) == len(maker.made) == 1


def test_one_that_was_closed_is_closed_once_and_followed_by_another() -> None:
    maker = Maker()
    slot = OnePerProcess(maker)
    first = slot.get()
    slot.close()
    slot.close()
    assert first.closed == 1
    assert slot.get() is not first


def test_a_forked_child_makes_its_own_and_never_closes_its_parents() -> None:
    slot = OnePerProcess(Maker())
    parents = slot.get()

    def child() -> bool:
        slot.close()
        own = slot.get()
        return own is not parents and own.pid == os.getpid() and slot.get() is own and parents.closed == 0

    assert in_a_fork(child) == 0
    assert slot.get() is parents
