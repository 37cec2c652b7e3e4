"""Checks that a table belongs to this configuration: its row in the ledger, and its target. Imported only when a run
finds another state than the last one left.

docs/decisions/31-whose-target-it-is.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgsnow.ledger.claim import Claim
from pgsnow.model.duration import approximate_duration
from pgsnow.model.errors import NotTheOwner
from pgsnow.model.owner import Place, places_after
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.recorder import Recorder

LEAST_SECONDS = 900.0
"""A configuration counts as running for this time after its last success, or three intervals of the table."""
TAKE_OVER = "pgsnow run --select {} --take-over"


def settle_place(
    context: EngineContext, claim: Claim, here: Mapping[str, Any], recorder: Recorder, *, take_over: bool
) -> None:
    """Record in the ledger that the table's row is used for another source or target than before. here: the fields of
    a Place. Raises NotTheOwner if two configurations use the row in turns: each would read everything again whenever
    the other one has run."""
    known, place = [Place.from_json(each) for each in claim.places], Place.from_json(here)
    interval = max(context.config.sync_interval_seconds, context.config.table(claim.table).every)
    idle = claim.idle_seconds
    in_use = idle is not None and idle < max(LEAST_SECONDS, 3 * interval) and not take_over
    places = places_after(known, place, in_use=in_use)
    if places is None:
        raise NotTheOwner(
            f"{claim.table}: another configuration uses this row of the ledger: it syncs {known[0]}"
            f" (last success {approximate_duration(idle or 0)} ago), this one syncs {place}",
            advice="Give one of the two configurations a ledger of its own: `ledger_schema:` in sync_config.yaml."
            f" If the other one has ended: {TAKE_OVER.format(claim.table)}",
        )
    if known and not known[0].may_be(place):
        recorder.events.append(
            f"this row of the ledger was used for {known[0]} before; now it is for {place}"
        )
    context.ledger.checkpoints.remember_places(claim, [place.to_json() for place in places])
