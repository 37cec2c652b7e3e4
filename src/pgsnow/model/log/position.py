"""How far a table has been read from the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgsnow.model.key_range import Key


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Part of a checkpoint: every transaction that committed at or before `lsn` is in the target, or staged.

    generation: number of the slot as it was made (a slot that was dropped and made again has another one), so that a
    position in another slot is not continued from. settled: until the log was read to here, the target may already have
    later versions of rows than the log shows, as they were read in a snapshot. suspects: keys that an audit found in
    the target alone; unless the log has shown by the next run that they were deleted, it lacked that.
    """

    generation: int
    lsn: int
    settled: int = 0
    suspects: tuple[Key, ...] = ()

    def to_json(self) -> list[Any]:
        """The fields as the ledger stores them; without suspects as earlier versions know them."""
        known = [self.generation, self.lsn, self.settled]
        return [*known, [list(key) for key in self.suspects]] if self.suspects else known

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> LogPosition:
        generation, lsn, settled, *more = data
        return cls(generation, lsn, settled, tuple(tuple(key) for keys in more for key in keys))
