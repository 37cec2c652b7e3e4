"""Comparison at the end of the demo."""

from __future__ import annotations

import sys

from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.verify.verdict import Verdict
from pgsnow.operations.verify.verify import verify
from pgsnow.sync.engine import Engine

SHOWN = 5
"""Differences shown for each table."""


def give_verdict(config: SyncConfig, settings: Settings) -> bool:
    """Compare row by row and column by column, and print the result. Call it once nothing writes any more."""
    with Engine(config, settings) as engine:
        verdicts = verify(engine)
    for verdict in verdicts:
        sys.stdout.write("\n".join(lines_of(verdict)) + "\n")
    equal = all(verdict.equal and not verdict.quarantined for verdict in verdicts)
    sys.stdout.write(f"verdict: {'EQUAL' if equal else 'DIFFERENT'}\n")
    sys.stdout.flush()
    return equal


def lines_of(verdict: Verdict) -> list[str]:
    """One line for the table, and one for each of its first differences."""
    state = "equal" if verdict.equal else f"{verdict.difference_count} DIFFERENCES"
    rejected = f", {verdict.quarantined} rejected" if verdict.quarantined else ""
    counts = f"{verdict.source_rows} rows, {verdict.target}: {verdict.target_rows} rows"
    head = f"{verdict.table}: {counts}{rejected}: {state}"
    return [
        head,
        *(
            f"  {d.kind} {d.key} {d.column or ''} {d.source!r} {d.target!r}"
            for d in verdict.differences[:SHOWN]
        ),
    ]
