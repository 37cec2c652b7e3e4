"""Who has one chunk, in the ledger in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class MemoryChunk:
    """The lease of a chunk. `session` stands for the advisory lock."""

    session: object | None = None
    expires: datetime | None = None
    open_batches: list[str] = field(default_factory=list)

    def held(self, now: datetime) -> bool:
        """Somebody alive has it."""
        return self.session is not None and self.expires is not None and now < self.expires

    def lose(self, session: object) -> None:
        """That session is no more."""
        if self.session is session:
            self.session = None

    def give_back(self, session: object) -> None:
        """That session wants it no more."""
        if self.session is session:
            self.free()

    def free(self) -> None:
        """Nobody has it."""
        self.session = self.expires = None
