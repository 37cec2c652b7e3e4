"""What a tick finds that leaves the syncing to others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgsnow.model.report import SyncReport
from pgsnow.sync.runtime.log import log_report, logger
from pgsnow.sync.table.inspect import Inspection


@dataclass(frozen=True, slots=True)
class Triage:
    """report: of the tables that are done with (idle, held, not due, failed). busy: names of those that are to be
    synced, in the order in which that had best be begun."""

    report: SyncReport
    busy: tuple[str, ...]


def smallest_first(looks: Iterable[Inspection]) -> tuple[str, ...]:
    """So that what takes a moment does not wait for what takes an hour."""
    return tuple(look.claim.table for look in sorted(looks, key=_bytes_to_read))


def _bytes_to_read(look: Inspection) -> int:
    """As far as a look can tell: of changes since the last run it has seen that there are some, not how many."""
    everything = look.plan.whole or look.probe.full_read is not None or look.drift.full_read is not None
    return look.plan.source.total_bytes if everything else 0


def log_triage(found: Triage) -> None:
    """A tick's own lines, and which tables others are to sync."""
    log_report(found.report)
    if found.busy:
        logger(run_id=found.report.run_id).info("tables handed out", tables=list(found.busy))
