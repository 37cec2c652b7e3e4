"""The ledger's slots: one worker at a time, and nothing that a worker without the claim writes."""

from __future__ import annotations

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.slots.store import SlotClaim, SlotRefusal
from pgsnow.model.errors import LeaseLost
from tests.integration.ledger.crew import PostgresCrew

SLOT, PUBLICATION = "pgsnow_x", "pgsnow_x"
MARKS = {"": {"publication": "1/2"}, "public.users": {"table": "16384"}}


def claimed(worker: Ledger, name: str = "ann") -> SlotClaim:
    found = worker.slots.claim(SLOT, PUBLICATION, run_id=name, holder=name)
    assert isinstance(found, SlotClaim), found
    return found


def test_a_slot_is_read_by_one_worker_and_what_it_records_is_what_the_next_one_finds(
    crew: PostgresCrew,
) -> None:
    """Of two workers one is refused and told by whom; positions do not go back; a new generation starts with its own
    position and keeps the transactions that are not settled."""
    ann, bob = crew.worker(), crew.worker()
    mine = claimed(ann)
    assert (mine.known.generation, mine.known.confirmed, mine.known.trouble) == (0, 0, None)
    refused = bob.slots.claim(SLOT, PUBLICATION, run_id="r2", holder="bob")
    assert isinstance(refused, SlotRefusal)
    assert refused.holder == "ann"
    assert ann.slots.new_generation(mine, 100, why="first", system="7", timeline=1, fingerprint=MARKS) == 1
    ann.slots.advance(mine, 200, unsettled=[9, 7], figures={"retained": 5})
    ann.slots.advance(mine, 150, figures={"messages": 1}, complete=False)
    ann.slots.renew(mine)
    ann.slots.release(mine)
    known = claimed(bob, "bob").known
    assert (known.generation, known.confirmed, known.unsettled) == (1, 200, frozenset({7, 9}))
    assert (known.fingerprint, known.figures) == (MARKS, {"retained": 5, "messages": 1})
    assert (known.system, known.timeline, known.why) == ("7", 1, "first")
    assert known.read_at is not None


def test_a_worker_whose_session_is_gone_is_replaced_at_once_and_can_write_nothing_afterwards(
    crew: PostgresCrew,
) -> None:
    """Its lease has minutes to run, but its advisory lock ended with its session."""
    ann, bob = crew.worker(), crew.worker()
    mine = claimed(ann)
    crew.kill(ann)
    theirs = claimed(bob, "bob")
    bob.slots.trouble(theirs, "the slot is gone", {"retained": 1})
    for write in (
        lambda: ann.slots.advance(mine, 300),
        lambda: ann.slots.renew(mine),
        lambda: ann.slots.new_generation(mine, 300, why="late"),
        lambda: ann.slots.trouble(mine, "late"),
    ):
        with pytest.raises(LeaseLost, match="another worker reads the replication slot"):
            write()
    ann.slots.release(mine)
    [row] = bob.slots.all()
    assert (row.holder, row.known.trouble, row.known.confirmed) == ("bob", "the slot is gone", 0)
    bob.slots.advance(theirs, 5)
    bob.slots.release(theirs)
    [row] = bob.slots.all()
    assert (row.holder, row.known.trouble, row.trouble_seconds) == (None, None, None)


def test_a_slot_that_a_person_dropped_is_a_later_generation(crew: PostgresCrew) -> None:
    """No position in it is continued from, and what was edited by hand is as if it was not known."""
    ann = crew.worker()
    mine = claimed(ann)
    ann.slots.new_generation(mine, 100, why="first")
    ann.slots.forget(SLOT, "pgsnow log drop", mine)
    crew.sql("update sync_slots set unsettled = '3', fingerprint = '[]', figures = '1'")
    [row] = ann.slots.all()
    assert (row.known.generation, row.known.confirmed) == (2, 0)
    assert (row.known.unsettled, row.known.fingerprint, row.known.figures) == (frozenset(), {}, {})
