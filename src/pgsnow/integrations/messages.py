"""The messages that a distributed tick sends. Each is a hint that there is work; the ledger knows what there is.

So a message that is lost, late, or there twice does no harm: what it asks for is refused or sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsnow.model.config import SyncConfig

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, slots=True)
class Messages:
    """table_task: its name. table_queue: of tables whose `queue:` names none; None leaves the choice to the
    application's task_routes."""

    app: Celery
    config: SyncConfig
    table_task: str
    table_queue: str | None

    def table(self, name: str) -> None:
        """Ask for a run of this table. It waits no longer than until the next tick, which asks again."""
        self._send(self.table_task, name, self.table_queue)

    def _send(self, task: str, table: str, queue: str | None) -> None:
        chosen = self.config.table(table).queue or queue
        self.app.tasks[task].apply_async(
            kwargs={"table": table},
            expires=self.config.sync_interval_seconds,
            **({"queue": chosen} if chosen else {}),
        )
