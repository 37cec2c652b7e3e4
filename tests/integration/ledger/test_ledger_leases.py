"""Leases when workers race, die, freeze, or lose their connection."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pgsnow.ledger import session
from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import Rejected
from pgsnow.model.errors import LeaseLost, LedgerUnavailable
from pgsnow.model.report import Status
from tests.integration.ledger.conformance import USERS, checkpoint, refused, report, take
from tests.integration.ledger.crew import PostgresCrew, session_pid
from tests.integration.ledger.worker import Led
from tests.progress import CEILING, wait_until

ROUNDS = 50


def advisory_locks(crew: PostgresCrew) -> int:
    return int(crew.sql("select count(*) from pg_locks where locktype = 'advisory'")[0][0])


def test_of_two_processes_that_race_exactly_one_is_granted_the_table_every_time(crew: PostgresCrew) -> None:
    with Led.start(crew.dsn, crew.schema) as ann, Led.start(crew.dsn, crew.schema) as bob:
        for _ in range(ROUNDS):
            for worker in (ann, bob):
                worker.tell(f"claim {USERS}")
            answers = {worker.hear(): worker for worker in (ann, bob)}
            assert set(answers) == {"granted", "refused"}
            assert answers["granted"].ask("release") == "released"


def test_a_killed_process_is_replaced_at_once(crew: PostgresCrew) -> None:
    worker = crew.worker()
    with Led.start(crew.dsn, crew.schema, lease_seconds=86_400) as victim:
        assert victim.ask(f"claim {USERS}") == "granted"
        assert refused(worker) == "locked"
        victim.process.kill()
        wait_until(lambda: worker.leases.claim([USERS], run_id="r", holder="h")[0], "the table is granted")


def test_a_frozen_process_keeps_its_table_until_its_lease_runs_out_and_can_write_nothing_afterwards(
    crew: PostgresCrew,
) -> None:
    worker = crew.worker()
    with Led.start(crew.dsn, crew.schema) as sleeper:
        assert sleeper.ask(f"claim {USERS}") == "granted"
        assert sleeper.ask("advance 1") == "moved"
        sleeper.process.send_signal(signal.SIGSTOP)
        assert refused(worker) == "locked"
        crew.expire(USERS)
        claim = take(worker)
        sleeper.process.send_signal(signal.SIGCONT)
        assert sleeper.ask("advance 2") == "LeaseLost"
        worker.checkpoints.advance(claim, checkpoint(x=3))
        assert sleeper.ask("release") == "released"
        assert refused(crew.worker()) == "locked"


def test_a_lease_runs_out_by_the_servers_clock_after_lease_seconds(crew: PostgresCrew) -> None:
    take(crew.worker(lease_seconds=0.2))
    wait_until(lambda: crew.worker().leases.claim([USERS], run_id="r", holder="h")[0], "the table is granted")


def test_who_took_over_from_a_frozen_worker_gets_the_lock_once_it_is_free(crew: PostgresCrew) -> None:
    """Without the lock it could not be replaced at once if it were killed in its turn."""
    frozen, second, third = crew.worker(), crew.worker(), crew.worker()
    take(frozen)
    crew.expire(USERS)
    claim = take(second)
    crew.kill(frozen)
    assert refused(third) == "locked"
    second.leases.renew([claim])
    crew.kill(second)
    take(third)


def test_a_killed_session_is_replaced_and_its_worker_told(crew: PostgresCrew) -> None:
    ann, bob = crew.worker(), crew.worker()
    old = take(ann)
    ann.rejected_rows.add(old, [Rejected({"id": "1"}, "bad")])
    crew.kill(ann)
    new = take(bob)
    with pytest.raises(LeaseLost, match=r"test has it, since"):
        ann.checkpoints.advance(old, checkpoint())
    with pytest.raises(LeaseLost):
        ann.rejected_rows.resolve(old, [{"id": "1"}])
    bob.checkpoints.advance(new, checkpoint())
    assert new.has_open_errors
    assert len(bob.rejected_rows.listed()) == 1


def test_a_pooler_that_lends_the_holders_own_session_does_not_let_us_pass_its_lock(
    crew: PostgresCrew,
) -> None:
    """Advisory locks may be taken twice by one session; the row remembers whose session it was."""
    ann, bob = crew.worker(), crew.worker()
    take(ann)
    bob.leases._session = ann._session
    assert refused(bob) == "locked"


def test_refused_claims_leave_no_lock_behind(crew: PostgresCrew) -> None:
    ann, bob = crew.worker(), crew.worker()
    claims, _ = ann.leases.claim(["a", "b", "c"], run_id="r", holder="ann")
    ann.run_log.finish([(claims[0], report(claims[0], Status.IDLE))])
    ann.leases.release(claims[:1])
    assert bob.leases.claim(["a", "b", "c"], run_id="s", holder="bob", min_age=600)[0] == []
    assert ann.leases.claim(["a", "b", "c"], run_id="s", holder="ann", min_age=600)[0] == []
    assert advisory_locks(crew) == 2
    ann.leases.release(claims)
    assert advisory_locks(crew) == 0


def test_a_claim_that_fails_half_way_leaves_no_lock_behind(
    crew: PostgresCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = crew.worker()
    earlier.leases.release(earlier.leases.claim(["a", "b"], run_id="r", holder="h")[0])
    monkeypatch.setitem(session._SERVER, "lock_timeout", "200ms")
    worker = crew.worker()
    with psycopg.connect(crew.dsn) as somebody:
        somebody.execute(f"select from {quoted(crew)}.sync_watermarks where source_table = 'b' for update")
        with pytest.raises(LedgerUnavailable) as caught:
            worker.leases.claim(["a", "b"], run_id="r", holder="h")
    assert caught.value.code == "55P03"
    assert advisory_locks(crew) == 0
    assert len(worker.leases.claim(["a", "b"], run_id="r", holder="h")[0]) == 2


def test_workers_that_name_tables_in_other_orders_never_deadlock(crew: PostgresCrew) -> None:
    names = [f"t{n:02}" for n in range(20)]
    ann, bob = crew.worker(), crew.worker()
    claims, _ = ann.leases.claim(names, run_id="r", holder="ann")
    start = threading.Barrier(2)

    def hold() -> None:
        start.wait(timeout=CEILING)
        for x in range(40):
            assert (
                ann.checkpoints.advance_idle([(claim, checkpoint(x=x)) for claim in reversed(claims)]) == []
            )
            ann.leases.renew(claims[::2] + claims[1::2])
            ann.run_log.finish([(claim, report(claim, Status.IDLE)) for claim in reversed(claims)])

    def covet() -> None:
        start.wait(timeout=CEILING)
        for _ in range(80):
            assert bob.leases.claim(names, run_id="s", holder="bob")[0] == []

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(hold), threads.submit(covet)]:
            done.result(timeout=CEILING)


def test_a_cut_connection_is_opened_again_and_the_statement_repeated(crew: PostgresCrew) -> None:
    worker = crew.worker()
    claim = take(worker)
    for act in (
        lambda: worker.checkpoints.advance(claim, checkpoint(x=5)),
        lambda: worker.checkpoints.open_batch(claim, "users/1-0"),
        lambda: worker.run_log.finish([(claim, report(claim, rows_inserted=1))]),
        lambda: worker.run_log.watermarks(),
        lambda: worker.leases.release([claim]),
    ):
        crew.kill(worker)
        act()
    assert take(worker).open_batches == ("users/1-0",)


def test_a_server_that_does_not_come_back_is_reported_as_unavailable(crew: PostgresCrew) -> None:
    class Moving:
        def __init__(self) -> None:
            self.dsn = crew.dsn

        def conninfo(self) -> str:
            return self.dsn

    settings = Moving()
    worker = Ledger(settings, crew.schema)
    take(worker)
    settings.dsn = psycopg.conninfo.make_conninfo(crew.dsn, port=1)
    crew.kill(worker)
    with pytest.raises(LedgerUnavailable):
        worker.run_log.watermarks()
    worker.close()


def test_a_worker_that_is_interrupted_drops_its_connection(crew: PostgresCrew) -> None:
    """The reply of the interrupted statement must not be taken for the reply of the next one."""
    worker = crew.worker()
    before = session_pid(worker)

    class TimeLimit(Exception):
        pass

    def interrupted(connection: session.LedgerConnection) -> None:
        connection.pgconn.send_query(b"select pg_sleep(30)")
        raise TimeLimit

    with pytest.raises(TimeLimit):
        worker._session.run(interrupted)
    assert worker.run_log.watermarks() == []
    assert session_pid(worker) != before


def in_child(ledger: Ledger, held: Claim, pids: Any) -> None:
    """A forked worker: it claims a table of its own, writes under its parent's claim, and closes."""
    pids.put(session_pid(ledger))
    take(ledger, "child")
    assert refused(ledger, USERS) == "locked"
    ledger.checkpoints.advance(held, checkpoint(x=1))
    ledger.close()


def test_a_forked_child_has_a_connection_of_its_own_and_leaves_its_parents_alone(crew: PostgresCrew) -> None:
    parent = crew.worker()
    claim = take(parent)
    mine = session_pid(parent)
    fork = multiprocessing.get_context("fork")
    pids = fork.SimpleQueue()
    child = fork.Process(target=in_child, args=(parent, claim, pids))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert pids.get() != mine
    assert session_pid(parent) == mine
    assert refused(crew.worker(), USERS) == "locked"
    take(parent, "child")


def test_nothing_is_sent_before_the_first_call_and_secrets_are_not_shown() -> None:
    class Secret:
        def conninfo(self) -> str:
            raise AssertionError("asked too early")

    assert "password" not in repr(Ledger(Secret()))
    Ledger(Secret()).close()


def quoted(crew: PostgresCrew) -> str:
    return '"' + crew.schema.replace('"', '""') + '"'
