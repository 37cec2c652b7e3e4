"""sync_requests: actions that a person has asked for. Some are done at once, others by the next tick of a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgsnow.ledger.queries import Queries


class RequestAction(StrEnum):
    """An action on a table, or on all tables. pause, resume and dismiss are done at once, the others by a worker."""

    RUN = "run"
    """Sync the table now, whether it is due or not. arguments: {} or {"load": true}."""
    RESYNC = "resync"
    """Read everything into a shadow table, and replace the target's content with it."""
    REPLAY = "replay"
    """Read rejected rows from the source again. arguments: {"ids": [1, 2]}, or {} for all open ones of the table."""
    PAUSE = "pause"
    """Grant no run this table from now on. arguments: {} or {"reason": "…"}."""
    RESUME = "resume"
    DISMISS = "dismiss"
    """Close rejected rows without loading them. arguments: {"ids": [1, 2]}, or {} for all open ones of the table."""


AT_ONCE = frozenset({RequestAction.PAUSE, RequestAction.RESUME, RequestAction.DISMISS})


class RequestState(StrEnum):
    """open: no worker has it yet; taken: a worker is at it; done, failed: it has ended."""

    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """One action that was asked for."""

    id: int
    source_table: str | None
    """None: all tables."""
    action: RequestAction
    arguments: Mapping[str, Any]
    requested_by: str
    requested_at: datetime
    state: RequestState
    taken_by: str | None = None
    """`host:pid` of the worker."""
    taken_at: datetime | None = None
    attempts: int = 0
    finished_at: datetime | None = None
    run_id: str | None = None
    """The run that did it."""
    status: str | None = None
    """How that run ended (ok, idle, partial, error, paused), or a few words about what was done."""
    error: str | None = None
    """Why it failed, or what it is waiting for."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Adds and lists requests, and gives them to workers. Safe for any number of processes."""

    queries: Queries
    _nothing: Sequence[Request] = field(default=(), repr=False)

    def add(
        self, table: str | None, action: RequestAction, arguments: Mapping[str, Any] | None = None, *, by: str
    ) -> Request:
        """Ask for an action; pause, resume and dismiss are done when this returns.

        If the same action with the same arguments is open or taken, that request is returned instead of a second one.
        by: who asked, for people to read. Whether the table exists is found out by the worker: for an unknown one the
        request ends as failed.
        """
        raise NotImplementedError

    def get(self, number: int) -> Request | None:
        """One request."""
        return None

    def open(self) -> list[Request]:
        """Requests that have not ended, oldest first."""
        return []

    def listed(
        self, *, table: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[Request]:
        """A page of requests, newest first. before: the id of the last one of the page before."""
        return []
