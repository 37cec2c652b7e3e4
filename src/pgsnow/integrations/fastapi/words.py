"""Words for states on the pages, each with a tone, which decides its shape and colour."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pgsnow.model.report import Status
from pgsnow.operations.status.overview import Word
from pgsnow.operations.status.overview_table import OverviewTable
from pgsnow.operations.status.table_state import HealthState


class StateWord(NamedTuple):
    """A state as a word and a tone: good, calm, busy, warn, bad or off."""

    word: str
    tone: str


TABLE_STATES: Mapping[HealthState, StateWord] = MappingProxyType(
    {
        HealthState.FAILED: StateWord("failed", "bad"),
        HealthState.STUCK: StateWord("stuck", "bad"),
        HealthState.DIFFERENT: StateWord("different", "bad"),
        HealthState.UNVERIFIED: StateWord("unverified", "warn"),
        HealthState.PARTIAL: StateWord("rows rejected", "warn"),
        HealthState.RUNNING: StateWord("running", "busy"),
        HealthState.SYNCED: StateWord("synced", "good"),
        HealthState.IDLE: StateWord("no changes", "calm"),
        HealthState.NEVER: StateWord("not run yet", "off"),
        HealthState.PAUSED: StateWord("paused", "off"),
        HealthState.OFF: StateWord("off", "off"),
    }
)
BEHIND = StateWord("behind", "warn")
TONES: Mapping[str, str] = MappingProxyType(dict([*TABLE_STATES.values(), BEHIND]))
"""Tone of a table's state by its word."""
WELL = (HealthState.SYNCED, HealthState.IDLE)
"""States in which a large lag is what matters most."""

WORDS: Mapping[Word, StateWord] = MappingProxyType(
    {
        Word.FRESH: StateWord("fresh", "good"),
        Word.BEHIND: StateWord("behind", "warn"),
        Word.FAILING: StateWord("failing", "bad"),
        Word.STOPPED: StateWord("stopped", "bad"),
        Word.STARTING: StateWord("starting", "busy"),
        Word.EMPTY: StateWord("not started", "off"),
    }
)
"""The whole sync's word."""

RUN_STATES: Mapping[str, StateWord] = MappingProxyType(
    {
        Status.OK: StateWord("ok", "good"),
        Status.IDLE: StateWord("idle", "calm"),
        Status.PARTIAL: StateWord("partial", "warn"),
        Status.ERROR: StateWord("error", "bad"),
        Status.BACKING_OFF: StateWord("backing off", "bad"),
    }
)


def shown_state(table: OverviewTable) -> StateWord:
    """A table's state. One that is well except for its lag is `behind`."""
    return BEHIND if table.behind and table.state in WELL else TABLE_STATES[table.state]


def shown_run(status: str) -> StateWord:
    """How a run ended. One that left the table alone has the tone `off`."""
    return RUN_STATES.get(status) or StateWord(status.replace("-", " "), "off")
