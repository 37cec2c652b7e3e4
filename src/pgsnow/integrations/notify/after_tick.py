"""Everything that follows a tick over HTTP, in threads of its own: no sync waits for it, or fails because of it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.report import SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from pgsnow.integrations.notify.lineage import LineageSender
    from pgsnow.sync.runtime.events import Observer

END_SECONDS = 10.0
"""The longest time that the end of a process waits for what is being sent. The next tick sends the rest."""


class AfterTick:
    """Sends alerts, the heartbeat and lineage events after each tick of one process. Thread-safe."""

    def __init__(self, config: SyncConfig, settings: Settings | None) -> None:
        """settings: needed for lineage alone."""
        self._config = config
        self._lineage = _lineage(config, settings)
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}

    @property
    def observer(self) -> Observer | None:
        """The engine's observer that reports beginnings of runs as lineage; None without `openlineage_url`."""
        return None if self._lineage is None else self._lineage.observe

    def tick_ended(self, ledger: Ledger, report: SyncReport, *, beat: bool = True) -> None:
        """Begin to send what this tick gives reason for, and return at once. If the messages of an earlier tick are
        still being sent, the next tick sends the rest. beat: request `heartbeat_url`, too."""
        if beat:
            self._heartbeat(failed=bool(report.failures))
        if self._config.alerts is not None:
            self._start("alerts", partial(send_alerts, self._config, ledger))
        self.runs_ended(ledger, report)

    def runs_ended(self, ledger: Ledger, report: SyncReport) -> None:
        """As `tick_ended`, for a report that is a part of a tick: lineage alone."""
        if self._lineage is not None:
            self._lineage.runs_ended(ledger, report)

    def tick_failed(self) -> None:
        """As `tick_ended`, for a tick that ended with an error, such as an unreachable ledger, so that nothing can be
        read or recorded: `heartbeat_fail_url` alone is requested."""
        self._heartbeat(failed=True)

    def close(self) -> None:
        """Wait until what was begun is sent, for a process that is about to end; at most END_SECONDS."""
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads():
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._lineage is not None:
            self._lineage.close(max(0.0, deadline - time.monotonic()))

    def _heartbeat(self, *, failed: bool) -> None:
        """Without `heartbeat_fail_url` a tick in which a table failed is a tick like any other: the sync runs."""
        config = self._config
        fail = config.heartbeat_fail_url if failed else None
        url = fail or config.heartbeat_url
        if url is not None:
            self._start("heartbeat", partial(_request_heartbeat, url.get_secret_value()))

    def _threads(self) -> Sequence[threading.Thread]:
        with self._lock:
            return tuple(self._busy.values())

    def _start(self, what: str, work: Callable[[], None]) -> None:
        with self._lock:
            before = self._busy.get(what)
            if before is not None and before.is_alive():
                return
            thread = threading.Thread(target=_guarded, args=(what, work), name=f"pgsnow-{what}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process has as many threads as it may have
                logger().warning(f"{what} not begun: no further thread can be started")
            else:
                self._busy[what] = thread


def _lineage(config: SyncConfig, settings: Settings | None) -> LineageSender | None:
    if config.openlineage_url is None or settings is None:
        return None
    from pgsnow.integrations.notify.lineage import LineageSender

    return LineageSender(config, settings)


def send_alerts(config: SyncConfig, ledger: Ledger) -> None:
    """Evaluate the alerts after a tick, and send the messages that are due. Raises LedgerUnavailable,
    LedgerAccessDenied."""
    from pgsnow.integrations.notify.deliver import deliver_due
    from pgsnow.operations.alerts.evaluate import evaluate_tick

    if config.alerts is not None:
        evaluate_tick(config, ledger, datetime.now(UTC), worker=this_process())
        deliver_due(config.alerts, ledger.alerts)


def send_after(config: SyncConfig, settings: Settings, report: SyncReport, *, beat: bool) -> None:
    """As `AfterTick.tick_ended`, for a process that ends with its tick: waits, END_SECONDS at most."""
    ledger = Ledger(settings.ledger, config.ledger_schema)
    after = AfterTick(config, settings)
    after.tick_ended(ledger, report, beat=beat)
    after.close()
    ledger.close()


def this_process() -> str:
    """`host:pid`, as leases name their holder."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _request_heartbeat(url: str) -> None:
    from pgsnow.integrations.notify.post import send

    answer = send(url)
    if not answer.ok:
        logger().warning("heartbeat not delivered", problem=f"heartbeat_url {answer.problem}")


def _guarded(what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # of any kind: the sync itself is not concerned
        logger().warning(
            f"{what} failed; the next tick tries again",
            error=public_text(error),
            error_type=type(error).__name__,
        )
