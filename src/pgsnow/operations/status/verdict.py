"""One word for the whole sync, with the sentence that explains it and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgsnow.model.duration import approximate_duration
from pgsnow.model.sentences import counted, without_name
from pgsnow.operations.status.overview_table import OverviewTable
from pgsnow.operations.status.table_state import GRACE_SECONDS, PATIENCE, HealthState

NAMES = 2
"""Tables that a sentence names before it counts the others."""


class Word(StrEnum):
    """State of the whole sync in one word."""

    FRESH = "fresh"
    """Every table is loaded up to a moment ago."""
    BEHIND = "behind"
    """A table's lag is larger than its schedule explains, or rows of it are missing."""
    FAILING = "failing"
    """A table stopped with an error, or is known to differ from its source."""
    STOPPED = "stopped"
    """No worker has begun a tick for several intervals."""
    STARTING = "starting"
    """A table was not loaded completely yet, and nothing failed."""
    EMPTY = "empty"
    """No worker has ever run."""


@dataclass(frozen=True, slots=True)
class SyncVerdict:
    """reason: a sentence. advice: the next step, or "". table: the one that the reason names first."""

    word: Word
    reason: str
    advice: str = ""
    table: str | None = None


def verdict_of(
    tables: Sequence[OverviewTable], last_tick: datetime | None, interval: float, now: datetime
) -> SyncVerdict:
    """tables: worst first. last_tick: when a worker last began one; None: never. interval: seconds between two."""
    if last_tick is None:
        reason = f"No worker has run yet; {counted(len(tables), 'table')} {_is(len(tables))} configured."
        return SyncVerdict(Word.EMPTY, reason, "Start the worker and the schedule, or run `pgsnow run`.")
    silent = (now - last_tick).total_seconds()
    if silent > PATIENCE * interval + GRACE_SECONDS:
        reason = f"No worker has run for {approximate_duration(silent)}, so nothing is synced."
        return SyncVerdict(
            Word.STOPPED, reason, "Start the worker and the schedule (with Celery: worker and beat)."
        )
    counting = [table for table in tables if table.counts]
    if not counting:
        return SyncVerdict(
            Word.BEHIND, "All tables are paused or disabled, so nothing is synced.", "Resume a table."
        )
    return (
        _failing(counting)
        or _different(counting)
        or (_behind(counting) if any(table.state is HealthState.STUCK for table in counting) else None)
        or _unverified(counting)
        or _behind(counting)
        or _rejected(counting)
        or _starting(counting)
        or _fresh(tables, counting)
    )


def _failing(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    failed = [table for table in tables if table.state is HealthState.FAILED]
    if not failed:
        return None
    worst = failed[0]
    error = without_name(worst.name, worst.last_error or "no reason is recorded")
    reason = f"{_names(failed)} {_has(len(failed))} stopped: {error}{'' if error.endswith('.') else '.'}"
    return SyncVerdict(Word.FAILING, reason, worst.advice, worst.name)


def _different(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    found = [table for table in tables if table.state is HealthState.DIFFERENT]
    if not found:
        return None
    rows = counted(sum(table.differences for table in found), "row")
    reason = f"A comparison found {rows} in {_names(found)} that differ from the source."
    return SyncVerdict(Word.FAILING, reason, found[0].advice, found[0].name)


def _unverified(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    found = [table for table in tables if table.state is HealthState.UNVERIFIED]
    if not found:
        return None
    reason = f"{found[0].name} may hold rows that its source has lost: {found[0].why}."
    return SyncVerdict(Word.BEHIND, reason, found[0].advice, found[0].name)


def _rejected(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    """Tables that are loaded, but whose target lacks rows."""
    found = [table for table in tables if table.state is HealthState.PARTIAL]
    if not found:
        return None
    rows = sum(table.open_rejected for table in found)
    reason = (
        f"{counted(rows, 'row')} of {_names(found)} {'was' if rows == 1 else 'were'} rejected, and"
        f" {_is(rows)} not in Snowflake as the source has {'it' if rows == 1 else 'them'}."
    )
    return SyncVerdict(Word.BEHIND, reason, found[0].advice, found[0].name)


def _behind(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    """Tables that are late; first those that no run has seen."""
    found = sorted(
        (table for table in tables if table.behind),
        key=lambda one: (one.state is not HealthState.STUCK, -(one.lag_seconds or 0.0)),
    )
    if not found:
        return None
    worst = found[0]
    why = f": {worst.why}" if worst.why else ""
    if worst.lag_seconds is None:
        return SyncVerdict(Word.BEHIND, f"{worst.name} is not synced{why}.", worst.advice, worst.name)
    others = f", and {counted(len(found) - 1, 'more table')} {_is(len(found) - 1)} late" if found[1:] else ""
    reason = f"{worst.name} is {approximate_duration(worst.lag_seconds)} behind{others}{why}."
    return SyncVerdict(Word.BEHIND, reason, worst.advice, worst.name)


def _starting(tables: Sequence[OverviewTable]) -> SyncVerdict | None:
    """Tables of which no run has ended well yet."""
    found = [table for table in tables if table.last_success is None]
    if not found:
        return None
    first, many = found[0], len(found)
    loading = next((table for table in found if table.state is HealthState.RUNNING), None)
    if loading is not None:
        reason = f"{loading.name} is loaded for the first time{f': {loading.why}' if loading.why else ''}."
        return SyncVerdict(Word.STARTING, reason, table=loading.name)
    reason = f"{_names(found)} {_has(many)} not run yet."
    return SyncVerdict(Word.STARTING, reason, "The next tick loads them.", first.name)


def _fresh(tables: Sequence[OverviewTable], counting: Sequence[OverviewTable]) -> SyncVerdict:
    """Without the lag: this sentence is read aloud when it changes, so it changes only with the state."""
    which = f"All {len(counting)} tables are" if len(counting) > 1 else f"{counting[0].name} is"
    paused = sum(table.state is HealthState.PAUSED for table in tables)
    left = f"; {counted(paused, 'other')} {_is(paused)} paused" if paused else ""
    return SyncVerdict(Word.FRESH, f"{which} up to date{left}.")


def _names(tables: Sequence[OverviewTable]) -> str:
    """The first tables by name; the others are counted."""
    names = [table.name for table in tables]
    if len(names) <= NAMES:
        return " and ".join(names)
    return f"{names[0]} and {len(names) - 1} more tables"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
