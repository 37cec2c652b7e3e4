"""Requests in a real ledger: asked for once, taken once, and taken again if their worker died."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pgsnow.ledger.requests.requests import RequestAction, RequestState
from pgsnow.model.batch import Rejected
from tests.integration.ledger.conformance import refused, row_of, take
from tests.integration.ledger.crew import PostgresCrew

RUN = RequestAction.RUN


def test_the_same_request_is_not_added_twice_until_it_has_ended(crew: PostgresCrew) -> None:
    """Two clicks on a button, or a repeated POST, start one run."""
    ann, bob = crew.worker(), crew.worker()
    with ThreadPoolExecutor(4) as pool:
        adds = [pool.submit(crew.worker().requests.add, "t", RUN, {"load": True}, by="ann") for _ in range(4)]
    ids = {add.result().id for add in adds}
    assert len(ids) == 1
    assert ann.requests.add("t", RUN, by="ann").id not in ids
    assert ann.requests.add(None, RUN, {"load": True}, by="ann").id not in ids
    taken = bob.requests.take("bob:1", ["t"])
    assert taken is not None
    assert bob.requests.add("t", RUN, {"load": True}, by="bob").id == taken.id
    bob.requests.finish(taken, status="ok", run_id="r1")
    assert bob.requests.add("t", RUN, {"load": True}, by="bob").id not in ids
    ended = ann.requests.get(taken.id)
    assert ended is not None
    assert (ended.state, ended.status, ended.run_id, ended.taken_by) == (
        RequestState.DONE,
        "ok",
        "r1",
        "bob:1",
    )
    assert ended.finished_at is not None


def test_a_request_is_taken_by_one_worker_and_by_another_when_that_one_is_dead(crew: PostgresCrew) -> None:
    """No request is carried out by two workers, and none is lost with a worker that was killed."""
    ann, bob, eve = crew.worker(), crew.worker(), crew.worker()
    asked = ann.requests.add("t", RUN, by="ann")
    mine = ann.requests.take("ann:1", ["t"])
    assert mine is not None
    assert (mine.id, mine.state, mine.attempts) == (asked.id, RequestState.TAKEN, 1)
    assert bob.requests.take("bob:1", ["t"]) is None
    crew.kill(ann)
    again = bob.requests.take("bob:1", ["t"])
    assert again is not None
    assert (again.id, again.attempts, again.taken_by) == (asked.id, 2, "bob:1")
    assert eve.requests.take("eve:1", ["t"]) is None
    bob.requests.finish(again, status="ok")
    ann.requests.finish(mine, status="error", error="too late")
    ended = eve.requests.get(asked.id)
    assert ended is not None
    assert (ended.state, ended.error) == (RequestState.DONE, None)
    assert eve.requests.open() == []
    assert crew.sql("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]


def test_behind_a_pooler_a_request_is_taken_again_when_its_lease_has_ended(crew: PostgresCrew) -> None:
    """Without a session of its own, a worker's death shows in that it holds no lease of the table any more."""
    ann, bob = crew.worker(), crew.worker()
    asked = ann.requests.add("t", RUN, by="ann")
    assert ann.requests.take("test", ["t"]) is not None
    crew.sql("update sync_requests set taken_session = null")
    assert bob.requests.take("bob:1", ["t"]) is None
    crew.sql("update sync_requests set taken_at = now() - interval '1 hour'")
    claim = take(ann, "t")
    assert bob.requests.take("bob:1", ["t"]) is None
    ann.leases.release([claim])
    again = bob.requests.take("bob:1", ["t"])
    assert again is not None
    assert again.id == asked.id


def test_a_request_is_left_to_the_workers_that_have_its_table(crew: PostgresCrew) -> None:
    """Two configurations may share one ledger. A table that neither the ledger nor the worker knows is a mistake, which
    any worker may report."""
    worker = crew.worker()
    worker.leases.release([take(worker, "theirs")])
    theirs = worker.requests.add("theirs", RUN, by="ann")
    assert worker.requests.take("w:1", ["ours"]) is None
    wrong = worker.requests.add("unheard of", RUN, by="ann")
    taken = worker.requests.take("w:1", ["ours"])
    assert taken is not None
    assert taken.id == wrong.id
    worker.requests.put_back(taken, "locked by x")
    assert worker.requests.take("w:1", ["ours"], skip=[wrong.id]) is None
    assert [(one.id, one.error) for one in worker.requests.open()] == [
        (theirs.id, None),
        (wrong.id, "locked by x"),
    ]
    crew.sql("update sync_requests set requested_at = now() - interval '2 hours' where id = %s", theirs.id)
    found = worker.requests.take("w:1", ["ours"], only=theirs.id)
    assert found is not None


def test_a_pause_is_done_at_once_and_says_who_did_it_and_why(crew: PostgresCrew) -> None:
    """A pause works also if no worker is alive, for a table that never ran, and the first pause keeps its name."""
    worker = crew.worker()
    paused = worker.requests.add("t", RequestAction.PAUSE, {"reason": "index rebuild"}, by="ann")
    assert (paused.state, paused.status) == (RequestState.DONE, "paused")
    assert refused(worker, "t") == "paused"
    again = worker.requests.add("t", RequestAction.PAUSE, by="bob")
    assert again.status == "was paused already"
    row = row_of(worker, "t")
    assert (row.paused, row.paused_by, row.paused_reason) == (True, "ann", "index rebuild")
    assert row.paused_at is not None
    resumed = worker.requests.add("t", RequestAction.RESUME, by="bob")
    assert resumed.status == "resumed"
    row = row_of(worker, "t")
    assert (row.paused, row.paused_by, row.paused_at, row.paused_reason) == (False, None, None, None)
    assert worker.requests.add("t", RequestAction.RESUME, by="bob").status == "was not paused"
    take(worker, "t")
    worker.requests.add(None, RequestAction.PAUSE, by="ann")
    assert row_of(worker, "t").paused
    assert [one.action.value for one in worker.requests.listed(table="t", limit=2)] == ["resume", "resume"]
    assert len(worker.requests.listed(before=worker.requests.listed(limit=1)[0].id)) == 4


def test_rejected_rows_are_listed_in_pages_counted_and_dismissed(crew: PostgresCrew) -> None:
    """Thousands of rejected rows are shown page by page, with the reasons first."""
    worker = crew.worker()
    claim = take(worker, "t")
    worker.rejected_rows.add(
        claim, [Rejected({"id": str(n)}, "too long" if n else "not JSON", "v", {"v": n}) for n in range(5)]
    )
    first = worker.rejected_rows.page(table="t", limit=3)
    rest = worker.rejected_rows.page(table="t", before=first[-1].id, limit=3)
    ids = [row.id for row in [*first, *rest]]
    assert (len(ids), ids) == (5, sorted(ids, reverse=True))
    counts = worker.rejected_rows.counts()
    assert [(one.source_table, one.reason, one.rows) for one in counts] == [
        ("t", "too long", 4),
        ("t", "not JSON", 1),
    ]
    assert worker.rejected_rows.counts("other") == []
    done = worker.requests.add("t", RequestAction.DISMISS, {"ids": ids[:2]}, by="ann")
    assert (done.state, done.status) == (RequestState.DONE, "2 rows dismissed")
    assert worker.requests.add("other", RequestAction.DISMISS, by="ann").status == "0 rows dismissed"
    assert worker.requests.add("t", RequestAction.DISMISS, by="ann").status == "3 rows dismissed"
    assert worker.rejected_rows.page(table="t") == []
    assert len(worker.rejected_rows.page(table="t", state=None)) == 5


def test_a_check_is_kept_until_the_next_one(crew: PostgresCrew) -> None:
    """The page shows what `pgsnow check` found last."""
    worker = crew.worker()
    assert worker.checks.latest() is None
    worker.checks.save([{"name": "ledger", "level": "ok"}], "host:1")
    worker.checks.save([{"name": "ledger", "level": "failed", "detail": "a\0b"}], "host:2")
    found = worker.checks.latest()
    assert found is not None
    assert (found.holder, [one["level"] for one in found.results]) == ("host:2", ["failed"])


def test_a_tick_is_noted_by_its_claim_and_shows_that_requests_wait(crew: PostgresCrew) -> None:
    """A worker is seen also if nothing was due, and no statement is needed to find that nobody asked for anything."""
    worker = crew.worker()
    claims, _ = worker.leases.claim(["a"], run_id="r", holder="h:1", asked_by="schedule", interval=120)
    assert [claim.has_requests for claim in claims] == [False]
    worker.requests.add("a", RUN, by="ann")
    _, refusals = worker.leases.claim(["a"], run_id="s", holder="h:2", asked_by="schedule", interval=60)
    assert [refusal.has_requests for refusal in refusals] == [True]
    worker.leases.claim(["a"], run_id="s", holder="h:3")
    seen = worker.ticks.seen()
    assert [(tick.holder, tick.interval_seconds, tick.asked_by) for tick in seen] == [
        ("h:2", 60, "schedule"), ("h:1", 120, "schedule"),
    ]  # fmt: skip
    assert all(0 <= tick.age_seconds < 60 for tick in seen)
