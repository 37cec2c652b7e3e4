"""Words for states on the pages, each with a tone, which decides its shape and colour."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pgsnow.model.report import Status
from pgsnow.operations.status.overview import Word
from pgsnow.operations.status.overview_table import OverviewTable
from pgsnow.operations.status.table_state import HealthState


class Shown(NamedTuple):
    """A state as a word and a tone: good, calm, busy, warn, bad or off."""

    word: str
    tone: str


TABLE_STATES: Mapping[HealthState, Shown] = MappingProxyType(
    {
        HealthState.FAILED: Shown("failed", "bad"),
        HealthState.STUCK: Shown("stuck", "bad"),
        HealthState.DIFFERENT: Shown("different", "bad"),
        HealthState.UNVERIFIED: Shown("unverified", "warn"),
        HealthState.PARTIAL: Shown("rows rejected", "warn"),
        HealthState.RUNNING: Shown("running", "busy"),
        HealthState.SYNCED: Shown("synced", "good"),
        HealthState.IDLE: Shown("no changes", "calm"),
        HealthState.NEVER: Shown("not run yet", "off"),
        HealthState.PAUSED: Shown("paused", "off"),
        HealthState.OFF: Shown("off", "off"),
    }
)
BEHIND = Shown("behind", "warn")
TONES: Mapping[str, str] = MappingProxyType(dict([*TABLE_STATES.values(), BEHIND]))
"""Tone of a table's state by its word."""
WELL = (HealthState.SYNCED, HealthState.IDLE)
"""States in which a large lag is what matters most."""

WORDS: Mapping[Word, Shown] = MappingProxyType(
    {
        Word.FRESH: Shown("fresh", "good"),
        Word.BEHIND: Shown("behind", "warn"),
        Word.FAILING: Shown("failing", "bad"),
        Word.STOPPED: Shown("stopped", "bad"),
        Word.STARTING: Shown("starting", "busy"),
        Word.EMPTY: Shown("not started", "off"),
    }
)
"""The whole sync's word."""

RUN_STATES: Mapping[str, Shown] = MappingProxyType(
    {
        Status.OK: Shown("ok", "good"),
        Status.IDLE: Shown("idle", "calm"),
        Status.PARTIAL: Shown("partial", "warn"),
        Status.ERROR: Shown("error", "bad"),
        Status.BACKING_OFF: Shown("backing off", "bad"),
    }
)


def shown_state(table: OverviewTable) -> Shown:
    """A table's state. One that is well except for its lag is `behind`."""
    return BEHIND if table.behind and table.state in WELL else TABLE_STATES[table.state]


def shown_run(status: str) -> Shown:
    """How a run ended. One that left the table alone has the tone `off`."""
    return RUN_STATES.get(status) or Shown(status.replace("-", " "), "off")
