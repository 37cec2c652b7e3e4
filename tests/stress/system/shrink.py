"""Finds a short script that still fails: delta debugging over the actions (Zeller and Hildebrandt, ddmin).

What processes do between the actions differs from run to run, so a script counts as failing if it fails in one of a
few attempts, and the result is a script that has failed, not the shortest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[Sequence[T]], bool], go_on: Callable[[], bool]) -> list[T]:
    """Some of the items, in their order, for which `fails` holds, as it does for all of them. go_on: asked before each
    attempt; after False, the shortest list found so far is returned."""
    kept, parts = list(items), 2
    while len(kept) >= 2 and go_on():
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if not go_on():
                return kept
            if rest and fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                return kept
            parts = min(len(kept), parts * 2)
    return kept
