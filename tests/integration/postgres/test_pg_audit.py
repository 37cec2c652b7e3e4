"""I6: an audit tells when the watermark lies, and what that hid is read."""

from __future__ import annotations

import pytest

from pgsnow.model.checkpoint import MAX_TRAIL, ReadMode
from pgsnow.postgres.incremental.audit import audit
from tests.integration.postgres.lab import Follower, Lab


@pytest.fixture
def follower(table: Lab) -> Follower:
    table.run("insert into t (id) select generate_series(1, 10)")
    follower = table.follow(audit_every=3600)
    follower.tick()
    return follower


def test_a_backdated_row_is_missed_and_the_next_audit_brings_it_in(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id, updated_at) values (100, now() - interval '3 days')")
    assert follower.tick() == []
    table.run("insert into t (id) values (101)")
    assert follower.tick() == [101]
    follower.plan = table.plan(audit_every=0.000001)
    assert 100 in follower.tick()
    assert follower.finding is not None
    assert follower.finding.startswith("1 row has a updated_at from before its transaction began")
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.XMIN


def test_from_then_on_no_watermark_is_trusted(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id, updated_at) values (100, now() - interval '3 days')")
    follower.tick()
    follower.plan = table.plan(audit_every=0.000001)
    follower.tick()
    table.run("insert into t (id, updated_at) values (101, now() - interval '3 days')")
    assert follower.tick() == [101]
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.XMIN


def test_a_refresh_on_request_trusts_it_again(table: Lab, follower: Follower) -> None:
    assert follower.checkpoint is not None
    follower.checkpoint = follower.checkpoint.evolve(mode=ReadMode.XMIN)
    assert len(follower.tick(full=True)) == 10
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.WATERMARK


def test_all_that_changed_since_the_last_clean_audit_is_read_again(table: Lab, follower: Follower) -> None:
    """The count says that rows were missed, not which: nothing since then is taken for read."""
    table.run("insert into t (id) values (50)")
    follower.tick()
    follower.plan = table.plan(audit_every=0.000001)
    follower.tick()
    follower.plan = table.plan(audit_every=3600)
    table.run("insert into t (id, updated_at) values (100, now() - interval '3 days')")
    follower.tick()
    table.run("insert into t (id) values (101)")
    follower.tick()
    follower.plan = table.plan(audit_every=0.000001)
    assert sorted(follower.tick()) == [100, 101]


def test_an_update_that_leaves_the_watermark_alone_is_found(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id, updated_at) values (50, clock_timestamp() + interval '1 second')")
    assert follower.tick() == [50]  # a row that is older than the newest is found by its watermark alone
    table.run("update t set v = 'silent' where id = 1")
    assert follower.tick() == []
    follower.plan = table.plan(audit_every=0.000001)
    assert 1 in follower.tick()


def test_honest_clocks_never_alarm(table: Lab, follower: Follower) -> None:
    """Transactions that began before a read and write after it are late, not false."""
    follower.plan = table.plan(audit_every=0.000001)
    began_early = table.session()
    began_early.execute("select now()")
    two_phase = table.session()
    two_phase.execute("insert into t (id) values (90)")
    for new in range(100, 110):
        table.run(f"insert into t (id, updated_at) values ({new}, clock_timestamp())")
        follower.tick()
        assert follower.finding is None
    began_early.execute("insert into t (id) values (200)")
    began_early.commit()
    two_phase.execute("prepare transaction 'p'")
    two_phase.rollback()
    follower.tick()
    table.run("commit prepared 'p'")
    follower.tick()
    follower.tick()
    assert follower.finding is None
    assert {90, 200} <= set(follower.copy)
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.WATERMARK


def test_rows_that_where_leaves_out_do_not_alarm(table: Lab) -> None:
    table.run("insert into t (id) values (1)")
    follower = table.follow(where="v is null", audit_every=0.000001)
    follower.tick()
    table.run("insert into t (id, v, updated_at) values (2, 'x', '2000-01-01')")
    follower.tick()
    assert follower.finding is None


def test_max_skew_is_granted(table: Lab) -> None:
    table.run("insert into t (id) values (1)")
    follower = table.follow(max_skew="1h", audit_every=0.000001)
    follower.tick()
    table.run("insert into t (id, updated_at) values (2, now() - interval '50 minutes')")
    assert follower.tick() == [2]
    follower.tick()
    assert follower.finding is None


def test_without_audits_nothing_is_looked_at(table: Lab, follower: Follower) -> None:
    follower.plan = table.plan(audit_every=0)
    table.run("insert into t (id, updated_at) values (100, '2000-01-01')")
    for _ in range(3):
        follower.tick()
    assert follower.finding is None
    assert follower.checkpoint is not None
    assert audit(table.admin, follower.plan, follower.checkpoint).late_rows == 1


def test_a_thinned_trail_still_finds_what_is_much_too_old(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id, updated_at) values (100, now() - interval '1 day')")
    for new in range(200, 200 + 2 * MAX_TRAIL):
        table.run(f"insert into t (id) values ({new})")
        follower.tick()
    assert follower.checkpoint is not None
    assert len(follower.checkpoint.trail) <= MAX_TRAIL
    assert audit(table.admin, follower.plan, follower.checkpoint).late_rows == 1


@pytest.mark.parametrize(
    ("kind", "value"), [("timestamp", "now() - interval '9 days'"), ("date", "current_date - 9")]
)
def test_other_types_of_watermark_are_audited(lab: Lab, kind: str, value: str) -> None:
    lab.run(f"create table t (id bigint primary key, updated_at {kind} not null default now())")
    follower = lab.follow(audit_every=0.000001)
    follower.tick()
    lab.run("insert into t (id) values (1)")
    follower.tick()
    assert follower.checkpoint is not None
    assert follower.checkpoint.mode is ReadMode.WATERMARK
    lab.run(f"insert into t values (2, {value})")
    follower.tick()
    assert follower.finding
    assert 2 in follower.copy
