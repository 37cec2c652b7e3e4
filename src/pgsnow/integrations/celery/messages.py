"""Messages of a distributed tick. A message says that there may be work; the ledger decides whether there is.

A message that is lost, late or duplicated does no harm: its task finds nothing to claim, or a later message
follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgsnow.integrations.config_source import ConfigSource

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, slots=True)
class Messages:
    """Sends messages. Tasks are given by name; queues are those of tables without `queue:`, where None leaves
    the choice to the application's task_routes."""

    app: Celery
    source: ConfigSource
    table_task: str
    chunk_task: str
    table_queue: str | None
    chunk_queue: str | None

    def table(self, name: str, *, requested: bool = False, load: bool = False) -> None:
        """Send a message for a run of this table. It expires at the next tick, which sends another one. requested: a
        person has asked for this run, so it does not expire and takes place even if the table is not due. load: staged
        rows are loaded before they are due."""
        asked = {key: True for key, value in (("requested", requested), ("load", load)) if value}
        expires = None if requested else self.source.config().sync_interval_seconds
        self._send(self.table_task, name, self.table_queue, expires, **asked)

    def request(self, number: int) -> None:
        """Send a message for an action that a person has asked for (see pgsnow.ledger.requests). It expires at the next
        tick, which sends another one."""
        queue = {"queue": self.table_queue} if self.table_queue else {}
        self.app.tasks[self.table_task].apply_async(
            kwargs={"table": "", "request": number},
            expires=self.source.config().sync_interval_seconds,
            **queue,
        )

    def chunk(self, name: str, expires: str | None = None) -> None:
        """Send a message for one chunk of this table's backfill. expires: when the message of the previous
        chunk expires, which this one keeps. So messages that no worker took between two ticks have expired
        when the second tick counts the workers and sends the missing messages, and the number of messages stays
        close to the number of parallel chunks."""
        self._send(self.chunk_task, name, self.chunk_queue, self._left(expires))

    def _left(self, expires: str | None) -> float:
        """Seconds until `expires`; a whole interval without it, or if it has passed."""
        interval = self.source.config().sync_interval_seconds
        if expires is None:
            return interval
        left = (_moment(expires) - datetime.now(UTC)).total_seconds()
        return left if left > 0 else interval

    def _send(self, task: str, table: str, queue: str | None, expires: float | None, **asked: bool) -> None:
        chosen = self.source.config().table(table).queue or queue
        self.app.tasks[task].apply_async(
            kwargs={"table": table, **asked}, expires=expires, **({"queue": chosen} if chosen else {})
        )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
