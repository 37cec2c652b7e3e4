"""Comparison at the end of the demo, and what the usual query would have missed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pgsnow.embedded.demo.usual_query import Missed
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.sentences import counted
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.verify.verdict import Verdict
from pgsnow.operations.verify.verify import verify
from pgsnow.sync.engine import Engine

SHOWN = 5
"""Differences shown for each table."""
HEADINGS = ("", "source", "target", "result")
MISSED_HEADINGS = ("never read", "outdated", "not deleted")


def give_verdict(config: SyncConfig, settings: Settings, missed: Mapping[str, Missed] | None = None) -> bool:
    """Compare row by row and column by column, and print the counts. Call it once nothing writes any more.

    missed: what a copy kept by the usual query has wrong, by table; None: it was not measured.
    """
    with Engine(config, settings) as engine:
        verdicts = verify(engine)
    sys.stdout.write("\n".join(["", *counts_of(verdicts, missed), *differences_of(verdicts)]) + "\n")
    equal = all(verdict.equal and not verdict.quarantined for verdict in verdicts)
    sys.stdout.write(f"verdict: {'EQUAL' if equal else 'DIFFERENT'}\n")
    sys.stdout.flush()
    return equal


def counts_of(verdicts: Sequence[Verdict], missed: Mapping[str, Missed] | None) -> list[str]:
    """Lines of a table: rows of both sides, the result, and what the usual query has wrong."""
    rows: list[tuple[str, ...]] = [HEADINGS if missed is None else (*HEADINGS, *MISSED_HEADINGS)]
    for verdict in verdicts:
        row: tuple[str, ...] = (
            verdict.table,
            f"{verdict.source_rows:,}",
            f"{verdict.target_rows:,}",
            _result(verdict),
        )
        if missed is not None:
            found = missed.get(verdict.table, Missed())
            row = (*row, f"{found.absent:,}", f"{found.outdated:,}", f"{found.undeleted:,}")
        rows.append(row)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if at in (0, 3) else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if missed is None:
        return lines
    above = "pgsnow"
    left = sum(widths[:4]) + 2 * 4
    return [f"{' ' * (widths[0] + 2)}{above}".ljust(left) + "the usual query", *lines]


def usual_query_lines(missed: Mapping[str, Missed], seconds: float, interval: float) -> list[str]:
    """Sentences about what the usual query would have missed in the same time."""
    rows = sum(found.rows for found in missed.values())
    time = counted(round(seconds), "second")
    return [
        f"The usual query ran beside it, every {interval:g} s: SELECT … WHERE updated_at > last.",
        f"In the same {time} it would have left {counted(rows, 'row')} wrong in Snowflake"
        + (", without a word about it." if rows else ": let the demo run longer."),
    ]


def differences_of(verdicts: Sequence[Verdict]) -> list[str]:
    """One line for each of the first differences of a table."""
    return [
        f"  {verdict.table}: {d.kind} {d.key} {d.column or ''} {d.source!r} {d.target!r}"
        for verdict in verdicts
        for d in verdict.differences[:SHOWN]
    ]


def _result(verdict: Verdict) -> str:
    state = "equal" if verdict.equal else f"{verdict.difference_count} DIFFERENT"
    return f"{state}, {verdict.quarantined} rejected" if verdict.quarantined else state
