"""How many examples a property test tries: few in `make test`, many in `make stress`."""

from __future__ import annotations

import hypothesis

FEW, MANY = 20, 1000
"""Examples of a property test that does not say how many it tries, in `make test` and in `make stress`."""


def register_profiles() -> None:
    """Make `pgsnow` and `thorough` known to hypothesis, and choose the first, which `--hypothesis-profile` replaces.

    How long an example takes says more of the machine than of the code, so there is no deadline.
    """
    hypothesis.settings.register_profile("pgsnow", deadline=None, max_examples=FEW)
    hypothesis.settings.register_profile("thorough", deadline=None, max_examples=MANY)
    hypothesis.settings.load_profile("pgsnow")


def examples(few: int, *, times: int = MANY // FEW) -> int:
    """`few` examples in `make test`, `times` as many in `make stress`."""
    return few * (times if hypothesis.settings().max_examples == MANY else 1)


def rounds(few: int) -> int:
    """Examples of a property test that talks to servers: an example costs a second or more, so `make stress` tries
    ten times as many."""
    return examples(few, times=10)
