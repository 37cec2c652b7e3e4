"""Evaluates the alerts: compares what is wrong now with what was reported, and queues messages about the difference."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from pgsnow.ledger.alerts.alert import AlertRule
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.alerts import AlertsConfig
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.operations.alerts.finding import AlertFindings, findings_of, stopped_finding
from pgsnow.operations.alerts.notices import notice_of
from pgsnow.operations.alerts.transitions import next_alerts
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.log import log_of


def evaluate_tick(config: SyncConfig, ledger: Ledger, now: datetime, *, worker: str) -> None:
    """After a tick: evaluate all rules. That a tick has run ends the alert that none does. Reads and writes only the
    ledger; does nothing without `alerts:`.

    Idempotent; of two processes that do this at the same time, one does nothing. Raises LedgerUnavailable,
    LedgerAccessDenied."""
    if config.alerts is not None:
        rows, troubles = ledger.run_log.watermarks(), ledger.alerts.troubles()
        whole = budget_of(config, ledger, now), log_of(config, ledger)
        found = findings_of(config, config.alerts, rows, troubles, now, *whole)
        _evaluate(config, config.alerts, ledger, found, now, tuple(AlertRule), worker)


def evaluate_stop(config: SyncConfig, ledger: Ledger, now: datetime, *, worker: str) -> None:
    """In a process that runs no ticks: find out whether any worker does. Otherwise as `evaluate_tick`."""
    if config.alerts is None or (silent := _seconds_without_tick(ledger)) is None:
        return
    seconds = config.alerts.seconds_without_tick(config.sync_interval_seconds)
    found = stopped_finding(silent, seconds, now)
    _evaluate(
        config,
        config.alerts,
        ledger,
        AlertFindings((found,) if found else ()),
        now,
        (AlertRule.STOPPED,),
        worker,
    )


def _seconds_without_tick(ledger: Ledger) -> float | None:
    """Seconds since a worker began a tick; None: none ever did. A worker that is loading a table may have no time for
    ticks: that counts as one. A version that notes no ticks leaves runs alone."""
    since_run, is_working = ledger.alerts.signs_of_life()
    if is_working:
        return 0.0
    ticks = ledger.ticks.seen()
    return ticks[0].age_seconds if ticks else since_run


def _evaluate(
    config: SyncConfig,
    alerts: AlertsConfig,
    ledger: Ledger,
    found: AlertFindings,
    now: datetime,
    scope: Collection[AlertRule],
    worker: str,
) -> None:
    book = ledger.alerts.book()
    changes = next_alerts(book.alerts, found, now, lambda: f"pgsnow-{uuid.uuid4().hex[:16]}", scope)
    if not changes:
        return
    synced = {table.name for table in config.enabled}
    notices = [
        notice_of(change, now, worker=worker, page=alerts.page_url or "", synced=synced)
        for change in changes.incidents
    ]
    messages = [(receiver.name, notice) for notice in notices for receiver in alerts.to]
    ledger.alerts.change(book, changes.saved, changes.gone, messages)
