"""What is asked of a tick beyond what its tables need by themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Nothing, by default."""

    full_refresh: bool = False
    """Read everything, and delete what the source no longer has."""
    resync: bool = False
    """Read everything, and let it take the place of the target's content, at once."""
    load: bool = False
    """What waits in the stage is loaded too, whether it is due or not."""
    leave_chunks: bool = False
    """Backfills are begun and ended, and others load their chunks."""

    @property
    def refresh(self) -> bool:
        """Is everything to be read?"""
        return self.full_refresh or self.resync


NONE = RunOptions()
