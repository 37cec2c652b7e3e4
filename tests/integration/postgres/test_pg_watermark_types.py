"""Every type of watermark bounds what it must: no zone, no clock change, no sequence hides a row."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.table import SourceName
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.incremental.window import lower_bound
from pgsnow.postgres.sql import text_of
from tests.examples import rounds
from tests.integration.postgres.lab import Follower, Lab

CHANGES = "create table t (id bigint primary key, updated_at {kind} default {default})"


class TestWithoutTimeZone:
    @pytest.mark.parametrize(
        ("kind", "default"),
        [("timestamp", "now()"), ("timestamp", "clock_timestamp()"), ("date", "current_date")],
    )
    def test_sessions_in_any_zone_write_late_and_are_read(self, lab: Lab, kind: str, default: str) -> None:
        lab.run(CHANGES.format(kind=kind, default=default))
        follower = lab.follow()
        follower.tick()
        for at, zone in enumerate(("Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "UTC"), start=1):
            late = lab.session()
            late.execute(f"set timezone to '{zone}'")
            late.execute(f"insert into t (id) values ({at})")
            assert follower.tick() == []
            late.commit()
            assert follower.tick() == [at]

    @settings(
        max_examples=rounds(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        zone=st.sampled_from(
            [
                "America/New_York",
                "Europe/Berlin",
                "Australia/Lord_Howe",
                "Antarctica/Troll",
                "Asia/Tokyo",
                "UTC",
            ]
        ),
        declared=st.booleans(),
        kind=st.sampled_from(["timestamp", "date"]),
        low=st.datetimes(min_value=datetime(1975, 1, 1)),
        later=st.integers(0, 40_000),
    )
    def test_what_is_written_after_a_moment_is_never_below_its_bound(
        self, lab: Lab, zone: str, declared: bool, kind: str, low: object, later: int
    ) -> None:
        """Also in the hour that daylight saving repeats. `later`: seconds between the moment and the write."""
        if not lab.one("select to_regclass('t') is not null"):
            lab.run("create table t (id bigint primary key, updated_at timestamp, day date)")
        plan = lab.plan(
            watermark_column="day" if kind == "date" else "updated_at",
            watermark_timezone=zone if declared else None,
        )
        moment = f"{low} +00"
        bound = lower_bound(plan, moment)
        assert bound is not None
        query = sql.SQL(
            "select (({}::timestamptz + make_interval(secs => {})) at time zone {})::{} >= {}"
        ).format(moment, later, zone, sql.SQL(kind), bound)
        assert lab.one(text_of(query))


def test_the_hour_that_daylight_saving_repeats_loses_nothing(lab: Lab) -> None:
    """At 01:59 the clocks of New York go back to 01:00: what is written then looks older than what was read."""
    lab.run(CHANGES.format(kind="timestamp", default="now()"))
    for zone in (None, "America/New_York"):
        follower = lab.follow(watermark_timezone=zone)
        follower.tick(full=True)
        assert follower.checkpoint is not None
        follower.checkpoint = follower.checkpoint.evolve(low="2026-11-01 05:59:00+00")  # 01:59 summer time
        lab.run(
            "delete from t",
            "insert into t values (1, timestamptz '2026-11-01 06:00:01+00' at time zone 'America/New_York')",
        )
        assert lab.one("select updated_at::text from t") == "2026-11-01 01:00:01"
        assert follower.tick() == [1]


class TestIntegers:
    @pytest.fixture
    def changes(self, lab: Lab) -> Lab:
        lab.run(
            "create table t (id bigint primary key,"
            " seq bigint generated always as identity (sequence name change))",
            "create index on t (seq)",
        )
        return lab

    def follow(self, lab: Lab) -> Follower:
        follower = lab.follow(watermark_column="seq")
        follower.tick()
        return follower

    def bounded(self, lab: Lab) -> Follower:
        """A follower whose bound is a value by now, not -infinity."""
        lab.run("insert into t (id) select generate_series(1001, 1010)")
        follower = self.follow(lab)
        for new in range(1011, 1014):
            lab.run(f"insert into t (id) values ({new})")
            assert follower.tick() == [new]
        assert follower.checkpoint is not None
        assert follower.checkpoint.mode is ReadMode.WATERMARK
        assert int(follower.checkpoint.low) >= 10
        return follower

    def test_values_that_commit_out_of_order_are_read(self, changes: Lab) -> None:
        follower = self.bounded(changes)
        late = changes.session()
        late.execute("insert into t (id) values (1)")
        for new in (2, 3, 4):
            changes.run(f"insert into t (id) values ({new})")
            assert follower.tick() == [new]
        late.commit()
        assert follower.tick() == [1]

    def test_one_large_value_of_somebodys_own_hides_nothing(self, changes: Lab) -> None:
        follower = self.bounded(changes)
        changes.run("insert into t overriding system value values (1, 1000000000)")
        follower.tick()
        follower.tick()
        changes.run("insert into t (id) values (2)")
        assert follower.tick() == [2]

    def test_a_prepared_transaction_keeps_the_bound(self, changes: Lab) -> None:
        follower = self.bounded(changes)
        assert follower.checkpoint is not None
        low = follower.checkpoint.low
        two_phase = changes.session()
        two_phase.execute("insert into t (id) values (1)")
        two_phase.execute("prepare transaction 'late'")
        two_phase.rollback()
        for new in (2, 3):
            changes.run(f"insert into t (id) values ({new})")
            assert follower.tick() == [new]
            assert follower.checkpoint.low == low
        changes.run("commit prepared 'late'")
        assert follower.tick() == [1]

    def test_a_sequence_that_was_set_back_hides_nothing(self, changes: Lab) -> None:
        """Not even what it numbered before anyone could notice."""
        follower = self.bounded(changes)
        changes.run("select setval('change', 1)")
        for new in range(1, 6):
            changes.run(f"insert into t (id) values ({new})")
            assert follower.tick() == [new]

    def test_one_that_was_set_back_and_has_caught_up_is_left_to_audits(self, changes: Lab) -> None:
        follower = self.bounded(changes)
        changes.run("select setval('change', 1)", "insert into t (id) select generate_series(1, 100)")
        follower.tick()
        assert 1 not in follower.copy
        follower.plan = changes.plan(watermark_column="seq", audit_every=0.000001)
        follower.tick()
        assert set(range(1, 101)) <= set(follower.copy)
        assert follower.finding is not None

    @pytest.mark.parametrize("options", ["cache 50", "increment -1", "cycle"])
    def test_a_sequence_without_order_is_not_relied_on(self, lab: Lab, options: str) -> None:
        """CACHE 50: another session hands out older values later, all committed, nothing concurrent."""
        lab.run(
            f"create table t (id bigint primary key, seq bigint generated always as identity ({options}))",
        )
        follower = self.follow(lab)
        assert follower.checkpoint is not None
        assert follower.checkpoint.mode is ReadMode.XMIN
        first, second = lab.session(), lab.session()
        first.execute("insert into t (id) values (1)")
        first.commit()
        second.execute("insert into t (id) values (2)")
        second.commit()
        assert sorted(follower.tick()) == [1, 2]
        first.execute("insert into t (id) values (3)")
        first.commit()
        assert follower.tick() == [3]

    def test_an_integer_that_no_sequence_feeds_is_read_by_xid(self, lab: Lab) -> None:
        lab.run("create table t (id bigint primary key, seq int not null)")
        follower = self.follow(lab)
        lab.run("insert into t values (1, 100)")
        assert follower.tick() == [1]
        lab.run("insert into t values (2, 5)")
        assert follower.tick() == [2]

    def test_a_sequence_that_may_not_be_looked_at_is_not_relied_on(
        self, changes: Lab, plain_role: str
    ) -> None:
        changes.run(f"grant select on t to {plain_role}", "insert into t (id) values (1)")
        follower = changes.follow(user=plain_role, watermark_column="seq")
        assert follower.tick() == [1]
        assert follower.checkpoint is not None
        assert follower.checkpoint.mode is ReadMode.XMIN
        changes.run("insert into t (id) values (2)")
        assert follower.tick() == [2]

    def test_identity_columns_are_fed_by_a_sequence_too(self, lab: Lab) -> None:
        lab.run("create table t (id bigint generated always as identity primary key, v text)")
        follower = lab.follow(watermark_column="id")
        lab.run("insert into t (v) values ('a')")
        assert follower.tick() == [1]
        assert follower.checkpoint is not None
        assert follower.checkpoint.mode is ReadMode.WATERMARK

    def test_tables_that_hold_its_rows_must_have_the_identity_too(self, lab: Lab) -> None:
        """A child table does not inherit it, and a partition does since PostgreSQL 17. A writer that names another one
        directly chooses the values."""
        lab.run(
            "create table parent (id bigint generated always as identity)",
            "create table child () inherits (parent)",
            "create table whole (id bigint generated always as identity) partition by range (id)",
            "create table part partition of whole for values from (1) to (1000)",
        )
        tables = [describe(lab.admin, SourceName("public", name)) for name in ("parent", "child", "whole")]
        inherited = lab.admin.info.server_version >= 170000
        assert [table.is_numbered_in_order("id") for table in tables] == [False, False, inherited]
