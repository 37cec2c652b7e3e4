"""A piece of memory with rows in it, and where in it one field of each row is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
SPARE = 64
"""Bytes at the end of a block that hold no rows: what is read at a NULL, and thrown away, may lie there."""


@dataclass(frozen=True, slots=True)
class Even:
    """Places at equal distances: reading them needs no list of them."""

    first: int
    step: int
    count: int

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each place; not copied."""
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
    """Places, ascending."""

    at: Numbers

    @property
    def count(self) -> int:
        return len(self.at)

    @property
    def last(self) -> int:
        return int(self.at[-1])

    def read(self, memory: Numbers, kind: str) -> Numbers:
        """The number of this numpy dtype at each place. Numbers may lie across each other and at odd places."""
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
    """One column's values: where they begin. sizes: their bytes, where the type does not tell; nulls: which of them
    are not there (None: all are)."""

    memory: Numbers
    values: Positions
    sizes: Numbers | None
    nulls: Numbers | None

    @property
    def count(self) -> int:
        return self.values.count

    def read(self, kind: str) -> Numbers:
        return self.values.read(self.memory, kind)
