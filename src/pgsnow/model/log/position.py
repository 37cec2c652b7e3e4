"""How far a table has been read from the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Part of a checkpoint: every transaction that committed at or before `lsn` is in the target, or staged.

    generation: number of the slot as it was made (a slot that was dropped and made again has another one), so that a
    position in another slot is not continued from. settled: until the log was read to here, the target may already have
    later versions of rows than the log shows, as they were read in a snapshot.
    """

    generation: int
    lsn: int
    settled: int = 0
