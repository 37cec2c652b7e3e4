"""The messages that a distributed tick sends. Each is a hint that there is work; the ledger knows what there is.

So a message that is lost, late, or there twice does no harm: what it asks for is refused, or asked for again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgsnow.model.config.sync_config import SyncConfig

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, slots=True)
class Messages:
    """Tasks by name. A queue is that of the tables whose `queue:` names none; None leaves the choice to the
    application's task_routes."""

    app: Celery
    config: SyncConfig
    table_task: str
    chunk_task: str
    table_queue: str | None
    chunk_queue: str | None

    def table(self, name: str) -> None:
        """Ask for a run of this table. It waits no longer than until the next tick, which asks again."""
        self._send(self.table_task, name, self.table_queue, self.config.sync_interval_seconds)

    def chunk(self, name: str, expires: str | None = None) -> None:
        """Ask for one chunk of this table's backfill, behind all that waits. expires: of the message that this one
        follows. Taking that over, messages that were not taken between two ticks are gone when the second one counts
        who is at work and sends as many as are lacking: there are never many more than may be at work."""
        self._send(self.chunk_task, name, self.chunk_queue, self._left(expires))

    def _left(self, expires: str | None) -> float:
        """Seconds. Who was at work when the tick counted has been counted, and goes on until the next one."""
        interval = self.config.sync_interval_seconds
        if expires is None:
            return interval
        left = (_moment(expires) - datetime.now(UTC)).total_seconds()
        return left if left > 0 else interval

    def _send(self, task: str, table: str, queue: str | None, expires: float) -> None:
        chosen = self.config.table(table).queue or queue
        self.app.tasks[task].apply_async(
            kwargs={"table": table}, expires=expires, **({"queue": chosen} if chosen else {})
        )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
