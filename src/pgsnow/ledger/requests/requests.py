"""sync_requests: actions that a person has asked for. Some are done at once, others by the next tick of a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.queries import Queries, cut, statement, storable


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
    lease_seconds: float

    def add(
        self,
        table: str | None,
        action: RequestAction,
        arguments: Mapping[str, Any] | None = None,
        *,
        by: str,
    ) -> Request:
        """Ask for an action on a table, or on all (None); pause, resume and dismiss are done when this returns.

        If the same action with the same arguments has not ended, that request is returned instead of a second one.
        by: who asked, for people to read. Whether the table exists is found out by the worker: for an unknown one the
        request ends as failed. Pausing all tables pauses those that have run at least once.
        """
        given = storable(dict(arguments or {}))
        asked = {"table": table, "arguments": Jsonb(given), "by": cut(by)}
        if action is RequestAction.PAUSE:
            done = self.queries.execute("pause_tables", **asked, reason=cut(given.get("reason")))
        elif action is RequestAction.RESUME:
            done = self.queries.execute("resume_tables", **asked)
        elif action is RequestAction.DISMISS:
            done = self.queries.execute("dismiss_by_request", **asked, ids=given.get("ids"))
        else:
            done = self.queries.execute("add_request", action=action.value, **asked)
            while not done.rowcount:  # an equal one has ended between the two halves of the statement
                done = self.queries.execute("add_request", action=action.value, **asked)
        [row] = done
        return _request(row)

    def get(self, number: int) -> Request | None:
        """One request; None if there is none."""
        row = self.queries.execute("requests", id=number, table=None, before=None, limit=1).fetchone()
        return None if row is None else _request(row)

    def open(self) -> list[Request]:
        """Requests that have not ended, oldest first."""
        return [_request(row) for row in self.queries.execute("open_requests")]

    def listed(
        self, *, table: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[Request]:
        """A page of requests, newest first. before: the id of the last one of the page before."""
        rows = self.queries.execute("requests", id=None, table=table, before=before, limit=limit)
        return [_request(row) for row in rows]

    def take(
        self, holder: str, tables: Sequence[str], *, only: int | None = None, skip: Sequence[int] = ()
    ) -> Request | None:
        """Take the oldest request that no living worker has, or the request `only`; None: there is none for this
        worker. tables: those of its configuration. skip: ids that it has put back. The request of a worker that died is
        taken again: at once if it had a session of its own, otherwise when its lease ends."""
        params = {
            "holder": holder, "tables": [*tables], "only": only, "skip": [*skip], "schema": self.queries.schema,
            "lease_seconds": self.lease_seconds,
        }  # fmt: skip
        query = statement("take_request", self.queries.schema)
        found = self.queries.session.run(
            lambda connection: connection.execute(
                query, params | {"has_own_session": connection.has_own_session}
            )
        )
        row = found.fetchone()
        return None if row is None else _request(row)

    def finish(
        self, request: Request, *, status: str | None, error: str | None = None, run_id: str | None = None
    ) -> None:
        """End a request that was taken, failed if there is an error. One that has ended already stays as it is."""
        self._end(request, RequestState.FAILED if error else RequestState.DONE, status, error, run_id)

    def put_back(self, request: Request, why: str) -> None:
        """Leave a request to a later tick. why: what it waits for."""
        self._end(request, RequestState.OPEN, None, why, None)

    def _end(
        self, request: Request, state: RequestState, status: str | None, error: str | None, run_id: str | None
    ) -> None:
        self.queries.execute(
            "finish_request", id=request.id, state=state.value, status=cut(status), error=cut(error),
            run_id=run_id, schema=self.queries.schema,
        )  # fmt: skip


def _request(row: Mapping[str, Any]) -> Request:
    known = {"action": RequestAction(row["action"]), "state": RequestState(row["state"])}
    return Request(**{**row, **known})
