"""Two configurations on one ledger whose slots have the same name. Pure."""

from __future__ import annotations

from collections.abc import Collection

from pgsnow.model.log.slot import KnownSlot, SlotAction, SlotVerdict

TABLES = "tables"
"""Figure of a slot: names of the tables for which it was read, some of them if they are many."""
MOST_NAMES = 100
IN_USE_SECONDS = 900.0
"""How long after its last read a slot counts as in use."""


def shared_with(known: KnownSlot, tables: Collection[str], idle_seconds: float | None) -> SlotVerdict | None:
    """The refusal of a slot that another configuration reads: they would take the log from each other, and each other's
    tables out of the publication. None: this configuration has at least one of the tables for which the slot was read,
    or nothing has read it for a while. tables: all of this configuration. idle_seconds: since the last read."""
    names = known.figures.get(TABLES)
    if not isinstance(names, list) or not names or idle_seconds is None or idle_seconds > IN_USE_SECONDS:
        return None
    if any(name in tables for name in names):
        return None
    shown = ", ".join(str(name) for name in names[:3]) + (", …" if len(names) > 3 else "")
    return SlotVerdict(
        SlotAction.REFUSE,
        f"another configuration with the same ledger reads the replication slot {known.name}, for {shown}",
        "Write a `log_slot` and a `log_publication` of its own in each configuration. If the other one has ended, wait"
        " a quarter of an hour.",
    )
