"""Events of a run, for observers: progress bars, logs, scripted faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """One completed step of one table's run.

    phase, in the order of a run: started; swept: leftovers of earlier runs are removed; evolved: a statement has
    altered the target; read: the first page has arrived; page: a page is written to the part files; written: the part
    files of a load batch are complete; put: they are in the stage; staged: the ledger has recorded them to be loaded
    later; copied or inserted: the rows are in the staging table, or in the target of a direct copy; merged; replaced:
    the target's content is replaced; chunk: a chunk of the backfill is in the target and in the ledger; checkpointed;
    compared: deleted rows were searched for; deleted: they are removed from the target; finished (`detail` is the run's
    status).

    rows and size (bytes) are those of this event alone; seconds is the time since the run began. done and of: number
    of loaded chunks, and of all chunks, of the backfill.
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
"""Called in the thread that executes the step; if it raises an exception, that table's run fails."""

PHASES: Final = (
    "started", "swept", "evolved", "read", "page", "written", "put", "kept", "staged", "copied", "inserted", "merged",
    "chunk", "checkpointed", "compared", "deleted", "finished",
)  # fmt: skip


def ignore(_event: Event) -> None:
    """An observer that does nothing."""


def all_of(*observers: Observer) -> Observer:
    """One observer that calls each of these, in order."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell
