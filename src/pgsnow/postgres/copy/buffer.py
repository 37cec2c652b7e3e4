"""Positions of one field of each row in a block of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
SPARE = 64
"""Bytes at the end of a block that hold no rows: a read at the position of a NULL, which is discarded, may
reach them."""


@dataclass(frozen=True, slots=True)
class Even:
    """Positions at equal distances: they need no array."""

    first: int
    step: int
    count: int

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each position; a view, not a copy."""
        found: Numbers = np.ndarray((self.count,), kind, memory, self.first, (self.step,))
        return found

    @property
    def last(self) -> int:
        return self.first + self.step * (self.count - 1)

    def moved(self, by: int) -> Even:
        return Even(self.first + by, self.step, self.count)

    def listed(self) -> Numbers:
        return np.arange(self.count, dtype=np.int64) * self.step + self.first


@dataclass(frozen=True, slots=True)
class Uneven:
    """Positions as an ascending int64 array."""

    at: Numbers

    @property
    def count(self) -> int:
        return len(self.at)

    @property
    def last(self) -> int:
        return int(self.at[-1])

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each position. Numbers may overlap and need no alignment."""
        size = np.dtype(kind).itemsize
        if size == 1:
            return memory.take(self.at)
        everywhere: Numbers = np.ndarray((len(memory) - size + 1,), kind, memory, 0, (1,))
        return everywhere[self.at]

    def moved(self, by: int) -> Uneven:
        return Uneven(self.at + by)

    def listed(self) -> Numbers:
        return self.at


Positions = Even | Uneven


@dataclass(frozen=True, slots=True)
class Cells:
    """One column's values in a block. values: where each begins. sizes: bytes of each, where the type has no
    fixed size. nulls: which are NULL (None: none)."""

    memory: Numbers
    values: Positions
    sizes: Numbers | None
    nulls: Numbers | None

    @property
    def count(self) -> int:
        return self.values.count

    def read(self, kind: str) -> Numbers:
        return self.values.read(self.memory, kind)
