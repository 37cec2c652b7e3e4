"""What an engine tells while it works. Progress bars, logs and scripted faults all listen here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """Something of one table's run has just happened.

    phase, in the order of a run: started, swept, evolved (a statement has altered the target), read (the first page
    has arrived), page, written (a load unit's part files are complete), put, staged (what was put
    waits to be loaded later), copied or inserted, merged, chunk (one of a backfill is in the target and in the ledger),
    checkpointed, finished. rows and size (bytes) are those of this event alone; done and of: how many chunks of the
    backfill are done, and how many there are.
    """

    table: str
    run_id: str
    phase: str
    rows: int = 0
    seconds: float = 0.0
    size: int = 0
    detail: str = ""
    done: int = 0
    of: int = 0


Observer = Callable[[Event], None]
"""Called in the table's own thread; an exception it raises ends that table's run as a failure would."""

PHASES: Final = (
    "started", "swept", "evolved", "read", "page", "written", "put", "staged", "copied", "inserted", "merged", "chunk",
    "checkpointed", "finished",
)  # fmt: skip


def ignore(_event: Event) -> None:
    """The observer that nobody asked for."""


def all_of(*observers: Observer) -> Observer:
    """One observer that tells each of these, in order."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell
