"""Posts OpenLineage events in a thread of its own, in order. Best effort: an event that is not accepted is logged."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pgsnow.integrations.notify.lineage_events import Datasets, end_event, start_event
from pgsnow.integrations.notify.post import send
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.events import Event
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import target_of

MOST_WAITING = 1000
"""Events that wait to be sent; further ones are dropped, so that a receiver that does not answer costs no memory."""
REPORTED = frozenset({Status.OK, Status.PARTIAL, Status.ERROR, Status.STOPPED})


class LineageSender:
    """Sends the events of one process. Thread-safe; no method waits for the receiver or raises."""

    def __init__(self, config: SyncConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._runs: dict[tuple[str, str], bool] = {}
        """Runs (id, table) that this process inspects or executes; True: their beginning was sent."""

    def observe(self, event: Event) -> None:
        """An observer of the engine: the first event after the inspection is the beginning of a run that has something
        to do. A chunk that this process loads for another one's run has no inspection."""
        key = event.run_id, event.table
        if event.phase == "started":
            with self._lock:
                self._runs[key] = False
        elif event.phase != "finished" and key in self._runs:
            self._start(event.table, event.run_id, datetime.now(UTC) - timedelta(seconds=event.seconds))

    def runs_ended(self, ledger: Ledger, report: SyncReport) -> None:
        """Send the ends of a tick's runs, and their beginnings if nothing was seen of them."""
        for table in report.tables:
            key = table.run_id, table.table
            if table.status in REPORTED or self._runs.get(key):
                self._start(table.table, table.run_id, table.started_at)
                self._put(partial(self._post_end, ledger, table))
        with self._lock:
            self._runs = {key: sent for key, sent in self._runs.items() if key[0] != report.run_id}

    def close(self, seconds: float) -> None:
        """Wait until everything is sent; so many seconds at most."""
        deadline = time.monotonic() + seconds
        with self._waiting.all_tasks_done:
            while self._waiting.unfinished_tasks and (left := deadline - time.monotonic()) > 0:
                self._waiting.all_tasks_done.wait(left)

    def _start(self, table: str, run_id: str, at: datetime) -> None:
        with self._lock:
            if self._runs.get((run_id, table)):
                return
            self._runs[run_id, table] = True
        self._put(lambda: self._post(start_event(table, run_id, self._datasets(table), at)))

    def _post_end(self, ledger: Ledger, report: TableReport) -> None:
        table = self._config.table(report.table)
        known = ledger.checkpoints.remembered(report.table).get(report.table)
        at = report.started_at + timedelta(seconds=report.seconds)
        definition = known.definition if known else None
        self._post(end_event(report, table, self._datasets(report.table), definition, at))

    def _datasets(self, name: str) -> Datasets:
        table = self._config.table(name)
        return Datasets.of(table, str(target_of(table, self._settings.snowflake)), self._settings)

    def _post(self, event: dict[str, Any]) -> None:
        url, key = self._config.openlineage_url, self._config.openlineage_api_key
        if url is None:
            return
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        answer = send(url.get_secret_value(), json.dumps(event).encode(), headers)
        if not answer.ok:
            logger(event["job"]["name"]).warning(
                "lineage not delivered",
                event_type=event["eventType"],
                problem=f"openlineage_url {answer.problem}",
            )

    def _put(self, work: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(work)
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    thread = threading.Thread(target=self._work, name="pgsnow-lineage", daemon=True)
                    thread.start()
                    self._thread = thread
        except queue.Full:
            logger().warning("lineage event dropped: too many are waiting for openlineage_url to answer")
        except RuntimeError:  # the process has as many threads as it may have
            logger().warning("lineage event waits: no further thread can be started")

    def _work(self) -> None:
        while True:
            work = self._waiting.get()
            try:
                work()
            except Exception as error:  # of any kind: the next event may be sent
                logger().warning("lineage not delivered", problem=public_text(error))
            finally:
                self._waiting.task_done()
