"""Options of one tick beyond what its tables need by themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of all runs of one tick; none is set by default."""

    full_refresh: bool = False
    """Read everything, and delete rows that the source no longer has."""
    resync: bool = False
    """Read everything into a shadow table, and swap it with the target's content."""
    load: bool = False
    """Load staged batches now, whether they are due or not."""
    leave_chunks: bool = False
    """Begin and end backfills, and leave their chunks to other processes."""

    @property
    def refresh(self) -> bool:
        """True if everything is to be read."""
        return self.full_refresh or self.resync


DEFAULT = RunOptions()
