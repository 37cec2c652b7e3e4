"""Journal of logins and statements, for tests that assert which statements the server received."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT_STATEMENTS = 5_000
KEPT_CHARACTERS = 4_000
CREDENTIALS = re.compile(r"(\bcredentials)\s*=\s*\([^)]*\)", re.IGNORECASE)
"""Masked in the journal, which any client may read."""


@dataclass
class JournalEntry:
    """One statement: its number in order of arrival, its session's number and query tag, its seconds and error (None
    while it runs)."""

    number: int
    text: str
    session: str
    tag: str = ""
    seconds: float | None = None
    error: int | None = None
    started: float = field(default_factory=time.monotonic)


class Journal:
    """Counts logins and keeps the newest statements. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logins = 0
        self._numbers = itertools.count(1)
        self._statements: deque[JournalEntry] = deque(maxlen=KEPT_STATEMENTS)

    def login(self) -> None:
        with self._lock:
            self._logins += 1

    def statement(self, text: str, session: str, tag: str) -> JournalEntry:
        """Record a statement before it runs; the caller passes the entry to `finish`."""
        with self._lock:
            kept = CREDENTIALS.sub(r"\1=(***)", text)[:KEPT_CHARACTERS]
            noted = JournalEntry(next(self._numbers), kept, session, tag)
            self._statements.append(noted)
        return noted

    def finish(self, noted: JournalEntry, error: int | None = None) -> None:
        with self._lock:
            noted.seconds = round(time.monotonic() - noted.started, 4)
            noted.error = error

    def report(self, open_sessions: int, after: int = 0, containing: str = "") -> dict[str, Any]:
        """Counts, the number of the newest statement (`last`, 0: none), and the kept statements with a larger number
        than `after` whose text contains `containing` (in any case), in order of arrival."""
        wanted = containing.upper()
        with self._lock:
            newest = itertools.takewhile(lambda noted: noted.number > after, reversed(self._statements))
            statements = [asdict(noted) for noted in newest if wanted in noted.text.upper()]
            return {
                "logins": self._logins,
                "sessions": open_sessions,
                "last": self._statements[-1].number if self._statements else 0,
                "statements": statements[::-1],
            }
