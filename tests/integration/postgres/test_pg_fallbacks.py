"""Where the horizon or the checkpoint cannot be what it should: wider reads, never lost rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.checkpoint import ReadMode, ServerIdentity
from tests.integration.postgres.conftest import TABLE
from tests.integration.postgres.lab import Follower, Lab, lab_in
from tests.integration.postgres.servers import primary_and_standby
from tests.integration.postgres.test_pg_lossless import PROCEDURE, call_procedure, wait_for


class TestARoleThatSeesNoOtherSessions:
    """Its horizon comes from the virtual xids in pg_locks, which everyone may read."""

    @pytest.fixture
    def follower(self, table: Lab, plain_role: str) -> Follower:
        table.run(f"grant select on t to {plain_role}", "insert into t (id) values (1)")
        follower = table.follow(user=plain_role)
        follower.tick()
        return follower

    def test_late_commits_and_lazy_xids_are_found(self, table: Lab, follower: Follower) -> None:
        late, lazy = table.session(), table.session()
        late.execute("insert into t (id) values (100)")
        lazy.execute("select now()")
        for new in (101, 102):
            table.run(f"insert into t (id) values ({new})")
            assert follower.tick() == [new]
        assert follower.listing is not None
        assert len(follower.listing.begun) >= 2
        lazy.execute("insert into t (id) values (103)")
        late.commit()
        lazy.commit()
        assert sorted(follower.tick()) == [100, 103]

    def test_the_bound_moves_on_once_transactions_end(self, table: Lab, follower: Follower) -> None:
        with_others = table.session()
        with_others.execute("insert into t (id) values (100)")
        follower.tick()
        with_others.commit()
        follower.tick()
        follower.tick()
        assert follower.checkpoint is not None
        moment = table.one("select (now() - interval '1 minute')::text")
        assert table.one(f"select '{follower.checkpoint.low}'::timestamptz > '{moment}'::timestamptz")

    def test_a_prepared_transaction_is_found(self, table: Lab, follower: Follower) -> None:
        two_phase = table.session()
        two_phase.execute("insert into t (id) values (100)")
        two_phase.execute("prepare transaction 'late'")
        two_phase.rollback()
        assert follower.tick() == []
        assert follower.horizon().prepared
        table.run("commit prepared 'late'")
        assert follower.tick() == [100]

    def test_a_statement_that_outlives_its_first_transaction_is_found(
        self, table: Lab, follower: Follower
    ) -> None:
        """Its next virtual xid is new, but statement_timestamp() is as old as the session's first one."""
        follower.tick()
        holder = table.session()
        table.run(PROCEDURE.replace("commit;", "perform pg_advisory_lock(8); commit;"))
        holder.execute("select pg_advisory_lock(8)")
        thread = call_procedure(table)
        for _ in range(3):
            follower.tick()
        holder.execute("select pg_advisory_unlock(8)")
        wait_for(table, "select exists (select from pg_locks where objid = 7 and not granted)")
        assert follower.tick() == [100]
        assert follower.tick() == []
        table.run("select pg_advisory_unlock(7)")
        thread.join()
        assert follower.tick() == [101]


def test_a_session_that_hides_its_activity_is_found(table: Lab) -> None:
    """track_activities = off shows no start of its transactions; the listing of virtual xids does not need it."""
    follower = table.follow()
    hidden = table.session()
    hidden.execute("set track_activities to off")
    hidden.commit()
    hidden.execute("insert into t (id) values (100)")
    follower.tick()
    assert follower.listing is not None
    table.run("insert into t (id) values (101)")
    assert follower.tick() == [101]
    hidden.commit()
    assert follower.tick() == [100]


class TestCheckpointsThatCannotBeFollowed:
    """I4: everything is read, and it is said why."""

    @pytest.fixture
    def follower(self, table: Lab) -> Follower:
        table.run("insert into t (id) select generate_series(1, 10)")
        follower = table.follow()
        follower.tick()
        return follower

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"identity": ServerIdentity("1", 1)}, "another server"),
            ({"x": 2**40}, "went back"),
            ({"x": -(2**31)}, "2^31"),
            ({"mode": ReadMode.CURSOR, "cursor": ("x", "1")}, "late_rows"),
            ({"mode": ReadMode.LOOKBACK}, "late_rows"),
        ],
    )
    def test_everything_is_read(self, follower: Follower, changes: dict[str, object], reason: str) -> None:
        assert follower.checkpoint is not None
        follower.checkpoint = follower.checkpoint.evolve(**changes)
        assert len(follower.tick()) == 10
        assert reason in str(follower.full_read)
        assert follower.tick() == []

    def test_another_timeline(self, follower: Follower) -> None:
        assert follower.checkpoint is not None
        identity = replace(follower.checkpoint.identity, timeline=99)
        follower.checkpoint = follower.checkpoint.evolve(identity=identity)
        assert len(follower.tick()) == 10
        assert "timeline" in str(follower.full_read)

    def test_on_request(self, follower: Follower) -> None:
        assert len(follower.tick(full=True)) == 10
        assert follower.full_read == "requested"

    def test_just_under_the_distance_that_32_bits_tell(self, table: Lab, follower: Follower) -> None:
        """A window may be almost 2^31 wide; what changed is in it."""
        assert follower.checkpoint is not None
        follower.checkpoint = follower.checkpoint.evolve(
            x=follower.checkpoint.x - 2**31 + 1000, last_watermark=None
        )
        table.run("update t set updated_at = now() where id = 5")
        assert follower.tick() == [5]
        assert follower.full_read is None


def test_lossless_after_lookback_reads_everything_and_the_other_way_round_does_not(table: Lab) -> None:
    table.run("insert into t (id) select generate_series(1, 10)")
    follower = table.follow()
    follower.tick()
    follower.plan = table.plan(late_rows="lookback")
    assert follower.tick() == []
    follower.plan = table.plan()
    assert len(follower.tick()) == 10


class TestLookback:
    """late_rows: lookback finds what is not older than the lookback, and only that."""

    def test_late_rows_within_the_lookback_are_found_once(self, table: Lab) -> None:
        follower = table.follow(late_rows="lookback", lookback="1h")
        follower.tick()
        late = table.session()
        late.execute("insert into t (id) values (100)")
        table.run("insert into t (id) values (101)")
        assert follower.tick() == [101]
        late.commit()
        assert follower.tick() == [100]
        assert follower.tick() == []

    def test_older_ones_are_its_risk(self, table: Lab) -> None:
        follower = table.follow(late_rows="lookback", lookback="1h")
        table.run("insert into t (id) values (1)")
        follower.tick()
        table.run("insert into t (id, updated_at) values (2, now() - interval '2 hours')")
        assert follower.tick() == []

    def test_a_row_in_the_future_does_not_move_the_bound_there(self, table: Lab) -> None:
        follower = table.follow(late_rows="lookback", lookback="1h")
        table.run("insert into t (id, updated_at) values (1, now() + interval '10 years')")
        follower.tick()
        table.run("insert into t (id) values (2)")
        assert follower.tick() == [2]


@pytest.fixture(scope="module")
def pair(servers_dir: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    with primary_and_standby(servers_dir / "pair") as servers:
        yield servers


class TestStandbys:
    """Writers cannot be seen from there, and it lags."""

    @pytest.fixture
    def writer(self, pair: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> Iterator[Lab]:
        with lab_in(pair[0].dsn()) as lab:
            lab.run("drop table if exists t", TABLE, "insert into t (id) values (1)")
            caught_up(lab, pair[1])
            yield lab

    @pytest.fixture
    def reader(self, pair: tuple[EmbeddedPostgres, EmbeddedPostgres], writer: Lab) -> Iterator[Lab]:
        with lab_in(pair[1].dsn()) as lab:
            yield lab

    def test_it_is_read_by_xid_alone(
        self, pair: tuple[EmbeddedPostgres, EmbeddedPostgres], writer: Lab, reader: Lab
    ) -> None:
        follower = reader.follow()
        assert follower.tick() == [1]
        late = writer.session()
        late.execute("insert into t (id) values (100)")
        writer.run("insert into t (id) values (101)")
        caught_up(writer, pair[1])
        assert follower.tick() == [101]
        assert follower.horizon().standby
        late.commit()
        caught_up(writer, pair[1])
        assert follower.tick() == [100]
        assert follower.checkpoint is not None
        assert follower.checkpoint.low == "-infinity"

    @pytest.mark.parametrize("busy", [True, False])
    def test_a_primarys_horizon_bounds_nothing_that_a_standby_shows(
        self, pair: tuple[EmbeddedPostgres, EmbeddedPostgres], writer: Lab, reader: Lab, busy: bool
    ) -> None:
        """Several hosts in one conninfo: what the primary committed before its horizon arrives there after it."""
        follower, primary = reader.follow(), writer.follow()
        follower.tick(horizon=primary.horizon())
        if busy:
            writer.run("update t set updated_at = now()")
            caught_up(writer, pair[1])
        reader.run("select pg_wal_replay_pause()")
        wait_for(reader, "select pg_get_wal_replay_pause_state() = 'paused'")
        writer.run("insert into t (id) values (100)")
        assert follower.tick(horizon=primary.horizon()) == ([1] if busy else [])
        reader.run("select pg_wal_replay_resume()")
        caught_up(writer, pair[1])
        assert follower.tick(horizon=primary.horizon()) == [100]


def caught_up(primary: Lab, standby: EmbeddedPostgres) -> None:
    written = primary.one("select pg_current_wal_insert_lsn()::text")
    with lab_in(standby.dsn()) as lab:
        wait_for(lab, f"select pg_last_wal_replay_lsn() >= '{written}'::pg_lsn")
