"""Watches, in a process that runs no ticks, whether any worker does: a stopped worker cannot report that itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgsnow.model.errors import PgsnowError
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.config.sync_config import SyncConfig

UNDEFINED_TABLE = "42P01"
SHORTEST_PAUSE = 5.0
UNCONFIGURED_PAUSE = 120.0
"""Seconds until the configuration is looked at again, as long as it is wrong or has no alerts."""


@contextmanager
def watch_for_stop(config: Callable[[], SyncConfig], ledger: Callable[[], Ledger]) -> Iterator[None]:
    """Within the block, look once in each interval whether a tick has run lately, and send an alert if none has.

    In a thread of its own. Opens the ledger only if the configuration has `alerts:`. Several processes may watch at the
    same time: one of them sends the message. config raises ConfigError as long as it is wrong.
    """
    end = threading.Event()
    thread = threading.Thread(target=_watch, args=(config, ledger, end), name="pgsnow-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()


def _watch(config: Callable[[], SyncConfig], ledger: Callable[[], Ledger], end: threading.Event) -> None:
    """The first look is after one interval: workers that are started together with this process may take so long."""
    while not end.wait(_pause(config)):
        try:
            look_for_stop(config(), ledger)
        except Exception as error:  # of any kind: the next look may succeed
            logger().warning(
                "could not find out whether ticks run",
                error=public_text(error),
                error_type=type(error).__name__,
            )


def _pause(config: Callable[[], SyncConfig]) -> float:
    try:
        found = config()
    except PgsnowError:
        return UNCONFIGURED_PAUSE
    return UNCONFIGURED_PAUSE if found.alerts is None else max(found.sync_interval_seconds, SHORTEST_PAUSE)


def look_for_stop(config: SyncConfig, ledger: Callable[[], Ledger]) -> None:
    """Evaluate whether ticks run, and send the messages that are due. Does nothing before the first run, which creates
    the ledger. Raises LedgerUnavailable, LedgerAccessDenied."""
    if config.alerts is None:
        return
    from pgsnow.integrations.notify.after_tick import this_process
    from pgsnow.integrations.notify.deliver import deliver_due
    from pgsnow.operations.alerts.evaluate import evaluate_stop

    try:
        evaluate_stop(config, ledger(), datetime.now(UTC), worker=this_process())
        deliver_due(config.alerts, ledger().alerts)
    except PgsnowError as error:
        if error.code != UNDEFINED_TABLE:
            raise
