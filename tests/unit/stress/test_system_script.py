"""The parts of the system stress that need no server: its plans, its files, and how a failure is made short."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.stress.system.plan import plan
from tests.stress.system.run import compressed
from tests.stress.system.script import Script
from tests.stress.system.shrink import shrink


def test_a_seed_plans_the_same_episode_again_and_a_file_holds_all_of_it(tmp_path: Path) -> None:
    """A failure can be run again from its seed, and from its file."""
    script = plan(7)
    assert script == plan(7) != plan(8)
    script.write(tmp_path / "script.json")
    assert Script.read(tmp_path / "script.json") == script
    assert script.phases == 3 == script.upto(2).phases == script.upto(1).phases + 1
    kinds = {
        "write",
        "define",
        "restart",
        "end",
        "configure",
        "command",
        "request",
        "edit",
        "messages",
        "clock",
    }
    assert {action.kind for seed in range(3) for action in plan(seed).actions} == kinds


def test_a_short_script_keeps_the_order_of_its_actions_and_has_no_long_pauses() -> None:
    """Nobody waits for actions that were taken out."""
    some = plan(7).actions[::40]
    moved = compressed(some)
    assert [(action.kind, action.args) for action in moved] == [(a.kind, a.args) for a in some]
    times = [action.at for action in moved if action.phase == 1]
    assert all(later - at <= 3.01 for at, later in itertools.pairwise(times))


@given(st.sets(st.integers(0, 99), min_size=1, max_size=4))
def test_only_what_a_failure_needs_is_left(needed: set[int]) -> None:
    """Of a hundred actions, those without which there is no failure."""
    assert set(shrink(range(100), lambda some: needed <= set(some), lambda: True)) == needed


def test_the_search_ends_when_its_time_is_over() -> None:
    """The shortest list that has failed by then is the result."""
    left = iter([True, True, True, False, False])
    found = shrink(range(8), lambda some: 7 in some, lambda: next(left))
    assert 7 in found
    assert len(found) < 8
