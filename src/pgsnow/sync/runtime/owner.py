"""Checks that a table belongs to this configuration: its row in the ledger, and its target. Imported only when a run
finds another state than the last one left.

docs/decisions/31-whose-target-it-is.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pgsnow.ledger.claim import Claim
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.duration import approximate_duration
from pgsnow.model.errors import NotTheOwner
from pgsnow.model.owner import Owner, Ownership, Place, owner_in, ownership, places_after
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.recorder import Recorder

LEAST_SECONDS = 900.0
"""A configuration counts as running for this time after its last success, or three intervals of the table."""
TAKE_OVER = "pgsnow run --select {} --take-over"


def settle_place(
    context: EngineContext, claim: Claim, here: Mapping[str, Any], recorder: Recorder, *, take_over: bool
) -> Claim:
    """Record in the ledger that the table's row is used for another source or target than before; returns the claim
    with that. here: the fields of a Place. Raises what `placed` raises, and LeaseLost."""
    claim, event = placed(context.config, claim, Place.from_json(here), take_over=take_over)
    context.ledger.checkpoints.remember_places(claim, claim.places)
    recorder.events.extend([event] if event else [])
    return claim


def placed(
    config: SyncConfig, claim: Claim, here: Place, *, take_over: bool = False
) -> tuple[Claim, str | None]:
    """The claim when its row of the ledger is used for `here`, and an event if it was used for something else before.
    Raises NotTheOwner if two configurations use the row in turns: each would read everything again whenever the other
    one has run."""
    known = [Place.from_json(each) for each in claim.places]
    interval = max(config.sync_interval_seconds, config.table(claim.table).every)
    idle = claim.idle_seconds
    in_use = idle is not None and idle < max(LEAST_SECONDS, 3 * interval) and not take_over
    places = places_after(known, here, in_use=in_use)
    if places is None:
        raise NotTheOwner(
            f"{claim.table}: another configuration uses this row of the ledger: it syncs {known[0]}"
            f" (last success {approximate_duration(idle or 0)} ago), this one syncs {here}",
            advice="Give one of the two configurations a ledger of its own: `ledger_schema:` in sync_config.yaml."
            f" If the other one has ended: {TAKE_OVER.format(claim.table)}",
        )
    claim = replace(claim, places=tuple(place.to_json() for place in places))
    if not known or known[0].may_be(here):
        return claim, None
    return claim, f"this row of the ledger was used for {known[0]} before; now it is for {here}"


def settle_owner(claim: Claim, target: str, comment: str, *, take_over: bool) -> Settled | None:
    """Decide what becomes of a target with this comment, for the holder of this claim; None: nothing, because no run
    has recorded the place of the table yet. Pure. Raises NotTheOwner if it belongs to another owner."""
    found = owner_in(comment)
    if not claim.places and found is not None and (found.ledger, found.table) == (claim.ledger, claim.table):
        return None
    place = Place.from_json(claim.places[0]) if claim.places else Place("", 0, "", 0, "", target)
    ours = place.owner(claim.ledger, claim.table)
    verdict = ownership(found, ours, stayed=ours.source.was_read_up_to(claim.checkpoint))
    if verdict is Ownership.FOREIGN and found is not None and not take_over:
        raise NotTheOwner(f"{target} belongs to {found}; this run is of {ours}", advice=_advice(found, ours))
    if not claim.places:
        return None
    event = _EVENTS[verdict].format(target=target, found=found, ours=ours)
    return Settled(ours.mark, ours.added_to(comment), event)


def _advice(found: Owner, ours: Owner) -> str:
    take_over = TAKE_OVER.format(ours.table)
    if found.ledger == ours.ledger and found.table != ours.table:
        return (
            f"Name another `target:`. If {ours.table} is only another name of {found.table}, write"
            f" `name: {found.table}` in sync_config.yaml. If {found.table} is not synced any more: {take_over}"
        )
    if found.ledger == ours.ledger and found.source.name == ours.source.name:
        return (
            "A copy of this ledger, with a copy of the source, writes it. Stop one of the two; to go on with this one:"
            f" {take_over}"
        )
    return f"Name another `target:`. If the other one does not sync it any more: {take_over}"


@dataclass(frozen=True, slots=True)
class Settled:
    """mark, comment: those that the target gets. event: to report; "" if there is nothing to say."""

    mark: str
    comment: str
    event: str


_EVENTS = {
    Ownership.OURS: "",
    Ownership.FREE: "{target} belongs to {ours} from now on",
    Ownership.MOVED: "{target} was filled from another server or database before ({found.source.where});"
    " now it is from {ours.source.where}",
    Ownership.FOREIGN: "{target} belonged to {found}; from now on it belongs to {ours}",
}
