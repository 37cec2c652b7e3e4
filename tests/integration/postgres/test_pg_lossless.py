"""No row is lost: whatever transactions do, the next read finds what the one before could not see."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from pgsnow.model.checkpoint import ReadMode
from pgsnow.postgres.read.reader import open_reader
from tests.integration.postgres.lab import Follower, Lab
from tests.progress import wait_until


@pytest.fixture
def follower(table: Lab) -> Follower:
    table.run("insert into t (id) select generate_series(1, 10)")
    follower = table.follow()
    assert len(follower.tick()) == 10
    return follower


def test_a_first_read_is_a_full_one_and_the_next_only_reads_changes(table: Lab, follower: Follower) -> None:
    assert follower.full_read == "first read"
    table.run("update t set v = 'new', updated_at = now() where id = 3", "insert into t (id) values (11)")
    assert sorted(follower.tick()) == [3, 11]
    assert not follower.full_read
    assert follower.tick() == []
    assert follower.copy[3]["v"] == "new"


def test_rows_of_a_transaction_that_commits_late_are_read(table: Lab, follower: Follower) -> None:
    """I1, I2: it was running at the read, and newer rows were read before it committed."""
    late = table.session()
    late.execute("insert into t (id, v) values (100, 'late')")
    table.run("insert into t (id) values (101)")
    assert follower.tick() == [101]
    table.run("insert into t (id) values (102)")
    assert follower.tick() == [102]
    late.commit()
    assert follower.tick() == [100]


def test_rows_of_a_transaction_that_had_no_xid_yet_are_read(table: Lab, follower: Follower) -> None:
    """I2: a transaction has its now() from its first statement on, but an xid from its first write on only."""
    lazy = table.session()
    lazy.execute("select now()")
    table.run("insert into t (id) values (101)")
    assert follower.tick() == [101]
    lazy.execute("insert into t (id) values (100)")
    lazy.commit()
    assert follower.tick() == [100]


def test_rows_of_subtransactions_are_read(table: Lab, follower: Follower) -> None:
    """I1 holds for their xids too, which pg_visible_in_snapshot knows nothing of."""
    late = table.session()
    late.execute("insert into t (id) values (100)")
    late.execute("savepoint a")
    late.execute("insert into t (id) values (101)")
    late.execute("savepoint b")
    late.execute("insert into t (id) values (102)")
    late.execute("rollback to b")
    assert follower.tick() == []
    late.execute("insert into t (id) values (103)")
    late.commit()
    assert sorted(follower.tick()) == [100, 101, 103]


def test_rows_of_a_prepared_transaction_are_read_however_late_it_commits(
    table: Lab, follower: Follower
) -> None:
    """Its start is told nowhere, so the bound stays where it was as long as it is about."""
    two_phase = table.session()
    two_phase.execute("insert into t (id) values (100)")
    two_phase.execute("prepare transaction 'late'")
    two_phase.rollback()
    before = follower.checkpoint
    assert before is not None
    for new in (101, 102, 103):
        table.run(f"insert into t (id) values ({new})")
        assert follower.tick() == [new]
        assert follower.checkpoint is not None
        assert follower.checkpoint.low == before.low
    table.run("commit prepared 'late'")
    assert follower.tick() == [100]
    assert follower.checkpoint is not None
    assert follower.checkpoint.low != before.low


def test_with_a_prepared_transaction_at_the_first_read_nothing_is_assumed(table: Lab) -> None:
    two_phase = table.session()
    two_phase.execute("insert into t (id) values (100)")
    two_phase.execute("prepare transaction 'early'")
    two_phase.rollback()
    follower = table.follow()
    assert follower.tick() == []
    assert follower.checkpoint is not None
    assert follower.checkpoint.low == "-infinity"
    table.run("commit prepared 'early'")
    assert follower.tick() == [100]


PROCEDURE = """create procedure in_two_transactions() language plpgsql as $$
begin
    insert into t (id, updated_at) values (100, statement_timestamp());
    commit;
    perform pg_advisory_lock(7);
    insert into t (id, updated_at) values (101, statement_timestamp());
end $$"""


def call_procedure(lab: Lab, *, user: str | None = None) -> threading.Thread:
    """Calls it; returns once its first transaction has ended and its second one waits for lock 7."""
    caller = lab.session(user=user)
    caller.autocommit = True
    lab.run("select pg_advisory_lock(7)")
    thread = threading.Thread(target=caller.execute, args=["call in_two_transactions()"])
    thread.start()
    wait_for(
        lab, f"select exists (select from pg_locks where pid = {caller.info.backend_pid} and not granted)"
    )
    return thread


def wait_for(lab: Lab, condition: str) -> None:
    wait_until(lambda: lab.one(condition), condition, pause=0.01)


def test_the_statement_that_is_running_counts_not_only_its_transaction(
    table: Lab, follower: Follower
) -> None:
    """I2: statement_timestamp() in a procedure's second transaction is older than that transaction."""
    table.run(PROCEDURE)
    thread = call_procedure(table)
    assert follower.tick() == [100]
    assert follower.tick() == []
    table.run("select pg_advisory_unlock(7)")
    thread.join()
    assert follower.tick() == [101]


def test_either_term_of_the_window_is_lossless_alone(table: Lab) -> None:
    """I3: xids alone (xmin mode), and watermarks alone (a window that every xid is in)."""
    table.run("insert into t (id) select generate_series(1, 10)")
    by_xid, by_watermark = table.follow(), table.follow()
    by_xid.tick()
    by_watermark.tick()
    late = table.session()
    late.execute("insert into t (id) values (100)")
    for follower in (by_xid, by_watermark):
        follower.tick()
    late.commit()
    assert by_xid.checkpoint is not None
    assert by_watermark.checkpoint is not None
    by_xid.checkpoint = by_xid.checkpoint.evolve(mode=ReadMode.XMIN, low="-infinity")
    by_watermark.checkpoint = by_watermark.checkpoint.evolve(x=0)
    assert by_xid.tick() == [100]
    assert 100 in by_watermark.tick()


def test_mode_xmin_needs_no_watermark_and_misses_nothing_that_commits_late(table: Lab) -> None:
    table.run("insert into t (id) select generate_series(1, 3)")
    follower = table.follow(mode="xmin", watermark_column=None, pk=None)
    assert sorted(follower.tick()) == [1, 2, 3]
    late = table.session()
    late.execute("insert into t (id, updated_at) values (100, '1970-01-01')")
    table.run("update t set updated_at = updated_at where id = 2")
    assert follower.tick() == [2]
    assert follower.tick() == []
    late.commit()
    assert follower.tick() == [100]
    assert follower.full_read is None


def test_rows_are_read_once_while_an_old_transaction_holds_the_window_open(
    table: Lab, follower: Follower
) -> None:
    """Exactly once: xids whose rows were read are left out although they are in the window."""
    holder = table.session()
    holder.execute("insert into t (id) values (100)")
    table.run("insert into t (id) values (101)")
    assert follower.tick() == [101]
    table.run("insert into t (id) values (102)")
    assert follower.tick() == [102]
    assert follower.checkpoint is not None
    assert len(follower.checkpoint.seen) == 2
    assert follower.tick() == []
    holder.commit()
    assert follower.tick() == [100]
    assert follower.tick() == []
    assert follower.checkpoint.seen == frozenset()


def test_forgetting_seen_xids_reads_rows_again_and_loses_none(table: Lab, follower: Follower) -> None:
    holder = table.session()
    holder.execute("insert into t (id) values (100)")
    table.run("insert into t (id) values (101)")
    follower.tick()
    assert follower.checkpoint is not None
    follower.checkpoint = follower.checkpoint.evolve(seen=frozenset())
    assert follower.tick() == [101]
    holder.commit()
    assert 100 in follower.tick()


def test_a_read_whose_checkpoint_was_not_saved_comes_again(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id) values (101)")
    assert follower.tick(save=False) == [101]
    assert follower.tick() == [101]


def test_a_version_that_replaces_one_just_read_is_read(table: Lab, follower: Follower) -> None:
    holder = table.session()
    holder.execute("insert into t (id) values (100)")
    for value in ("a", "b"):
        table.run(f"update t set v = '{value}', updated_at = now() where id = 1")
        assert follower.tick() == [1]
        assert follower.copy[1]["v"] == value


def test_a_row_in_the_future_or_at_infinity_hides_nothing(table: Lab, follower: Follower) -> None:
    table.run("insert into t (id, updated_at) values (100, now() + interval '1 day'), (101, 'infinity')")
    assert follower.tick() == [100]
    assert [row.key for row in follower.rejected] == [{"id": "101"}]
    table.run("insert into t (id) values (102)")
    assert follower.tick() == [102]


def test_rows_that_copy_the_newest_watermark_are_read_however_old_it_is(table: Lab) -> None:
    table.run("insert into t (id, updated_at) values (1, '2025-01-01Z'), (2, '2025-02-01Z')")
    follower = table.follow()
    assert sorted(follower.tick()) == [1, 2]
    table.run(
        "insert into t (id, updated_at) select 3, max(updated_at) from t", "update t set v = 'b' where id = 2"
    )
    assert sorted(follower.tick()) == [2, 3]
    assert follower.tick() == []
    table.run("insert into t (id, updated_at) values (4, '2025-02-02Z')")
    assert follower.tick() == [4]


def test_rows_without_a_watermark_are_read(table: Lab) -> None:
    table.run("alter table t alter updated_at drop not null", "insert into t values (1, 'a', null)")
    follower = table.follow()
    assert follower.tick() == [1]
    table.run("insert into t values (2, 'b', null)", "update t set v = 'c' where id = 1")
    assert sorted(follower.tick()) == [1, 2]
    assert follower.tick() == []


def test_rows_without_a_watermark_are_read_even_if_it_was_not_null_when_planned(
    table: Lab, follower: Follower
) -> None:
    table.run("alter table t alter updated_at drop not null", "insert into t values (100, 'a', null)")
    assert follower.tick() == [100]


def test_ties_are_read_whatever_the_page_size(table: Lab) -> None:
    table.run("insert into t (id) select generate_series(1, 1000)")
    for late_rows in ("lossless", "lookback", "off"):
        follower = table.follow(batch_size=7, late_rows=late_rows)
        assert sorted(follower.tick()) == list(range(1, 1001))
        assert follower.tick() == []


def test_what_was_written_by_a_rolled_back_transaction_is_never_read(table: Lab, follower: Follower) -> None:
    other = table.session()
    other.execute("insert into t (id) values (100)")
    follower.tick()
    other.rollback()
    assert follower.tick() == []
    assert 100 not in follower.copy


def test_our_own_long_reads_do_not_hold_the_horizon_back(table: Lab, follower: Follower) -> None:
    with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
        next(iter(reading.pages()))
        reading_since_before = table.one("select clock_timestamp()::text")
        low = follower.horizon().low
        assert table.one(f"select '{low}'::timestamptz > '{reading_since_before}'::timestamptz")


def test_another_open_transaction_does_hold_it_back(table: Lab, follower: Follower) -> None:
    session = table.session()
    ((began,),) = session.execute("select now()::text").fetchall()
    assert table.one(f"select '{follower.horizon().low}'::timestamptz <= '{began}'::timestamptz")


def test_a_horizon_is_never_taken_inside_a_transaction(table: Lab) -> None:
    """There, pg_stat_activity would be as old as the transaction's first look at it."""
    from pgsnow.postgres.incremental.horizon import take_horizon

    session = table.session()
    session.execute("select 1")
    with pytest.raises(RuntimeError):
        take_horizon(session)


class TestNegativeControls:
    """The same situations, read in a way that does lose rows: so the tests above can fail."""

    def test_the_plain_query_loses_a_late_commit(self, table: Lab) -> None:
        reader = PlainReader(table.admin)
        late = table.session()
        late.execute("insert into t (id) values (100)")
        table.run("insert into t (id) values (101)")
        assert reader.read() == [101]
        late.commit()
        assert reader.read() == []

    def test_the_plain_query_loses_ties_at_its_limit(self, table: Lab) -> None:
        table.run("insert into t (id) select generate_series(1, 1000)")
        assert len(PlainReader(table.admin).read(limit=10)) == 10

    def test_the_plain_query_loses_all_that_comes_after_a_row_in_the_future(self, table: Lab) -> None:
        reader = PlainReader(table.admin)
        table.run("insert into t (id, updated_at) values (1, 'infinity')")
        reader.read()
        table.run("insert into t (id) values (2)")
        assert reader.read() == []

    def test_a_horizon_taken_after_the_snapshot_loses_what_ended_in_between(
        self, table: Lab, follower: Follower
    ) -> None:
        late = table.session()
        late.execute("insert into t (id) values (100)")
        with open_reader(follower.source, follower.plan, follower.checkpoint, follower.horizon()) as reading:
            list(reading.pages())
            right = reading.checkpoint()
        late.commit()
        too_late = follower.horizon()
        follower.checkpoint = right.evolve(low=too_late.low, last_watermark=None, trail=())
        assert follower.tick() == []
        follower.checkpoint = right
        assert follower.tick() == [100]


class PlainReader:
    """Everything above the last watermark, in its order, so many rows at a time."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._last = "-infinity"

    def read(self, limit: int = 1000) -> list[int]:
        found: list[int] = []
        while True:
            rows = self._conn.execute(
                "select id, updated_at::text from t where updated_at > %s::timestamptz order by updated_at limit %s",
                [self._last, limit],
            ).fetchall()
            found.extend(row[0] for row in rows)
            if not rows:
                return found
            self._last = rows[-1][1]
