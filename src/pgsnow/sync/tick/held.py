"""What is told of a table that another run has."""

from __future__ import annotations

from dataclasses import replace

from pgsnow.ledger.claim import Refusal
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.runtime.recorder import Recorder


def held(refusal: Refusal, progress: Recorder) -> TableReport:
    """Its report: who has it, and since when."""
    who = f" by {refusal.holder}" if refusal.holder else ""
    since = f" since {refusal.since:%Y-%m-%d %H:%M:%S %Z}" if refusal.since else ""
    report = progress.report(Status.HELD)
    return replace(report, error=f"{refusal.reason}{who}{since}", error_type="LeaseHeld")
