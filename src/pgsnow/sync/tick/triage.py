"""The first half of a tick, for processes that leave the runs to other processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgsnow.model.report import SyncReport
from pgsnow.sync.runtime.log import log_report, logger
from pgsnow.sync.table.inspect import Inspection


@dataclass(frozen=True, slots=True)
class Triage:
    """report: the completed tables (idle, held, not due, failed). busy: the names of the tables that must be
    synced, in the recommended order. requests: the numbers of a person's requests that have not ended."""

    report: SyncReport
    busy: tuple[str, ...]
    requests: tuple[int, ...] = ()


def smallest_first(inspections: Iterable[Inspection]) -> tuple[str, ...]:
    """The tables' names, ordered by the bytes to read, so that a short run does not wait for a long one."""
    return tuple(found.claim.table for found in sorted(inspections, key=_bytes_to_read))


def _bytes_to_read(found: Inspection) -> int:
    """The table's size for a full read; 0 for changes, whose number is not known."""
    reads_all = found.plan.whole or found.probe.full_read is not None or found.drift.full_read is not None
    return found.plan.source.total_bytes if reads_all else 0


def log_triage(found: Triage) -> None:
    """Log the tick, and the tables that are left to other processes."""
    log_report(found.report)
    if found.busy:
        logger(run_id=found.report.run_id).info("tables handed out", tables=list(found.busy))
