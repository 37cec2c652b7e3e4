"""The application writes timestamps that are older than its transaction.

Group: watermarks
Danger: A job takes the time when it starts, works for a minute, and only then opens the transaction that writes it.
    A tick runs before the commit; the next one starts its read above these rows, and they never reach Snowflake.
Answer: The audit (`audit_every`, 1 h) compares every row with each read that ran before its transaction ended. Rows
    that were missed are reported and read, and the table is read by transaction id from then on. Rows of savepoints,
    of which nothing proves whether they were missed, are read again. Until the audit runs, such rows are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import MemoryWorld

Session = psycopg.Connection[tuple[Any, ...]]
LATE = "transaction began, so it cannot be trusted"
AGAIN = "are read again"
AT_ONCE = 0.000001
STAMPED = """insert into users (id, name, updated_at)
    select g, 'batch', %s::timestamptz from generate_series(%s::int, %s) g"""


class Application:
    """An application beside the ticks: one job in a transaction, and other sessions that commit at once."""

    def __init__(self, world: MemoryWorld) -> None:
        self.world = world
        world.tables[0]["max_skew"] = 0
        self.job = psycopg.connect(world.env["POSTGRES_DSN"])
        self._others = 1000

    def take_time(self) -> None:
        """The job looks at its clock: before its transaction begins, after the last tick."""
        self.stamp = self.world.sql("select clock_timestamp()::text")[0][0]

    def write(self, first: int, last: int) -> None:
        """The job writes rows with that time, in a transaction that stays open."""
        self.job.execute(STAMPED, [self.stamp, first, last])

    def others_write(self) -> None:
        """Another transaction, which moves the watermark on."""
        self._others += 1
        self.world.sql(f"insert into users (id, name) values ({self._others}, 'other')")

    def tick(self, *, audit_every: float = 0) -> TableReport:
        self.world.tables[0]["audit_every"] = audit_every
        with self.world.engine() as engine:
            return engine.tick().tables[0]

    def mode(self) -> str:
        ((mode,),) = self.world.sql("select checkpoint ->> 'mode' from sync_watermarks")
        return str(mode)

    def missing(self) -> int:
        """Rows that the target does not have."""
        return int(self.world.sql("select count(*) from users")[0][0]) - len(self.world.target().rows)


@pytest.fixture
def app(memory_world: MemoryWorld) -> Iterator[Application]:
    """Its table has been read once, and has an old row and a new one."""
    app = Application(memory_world)
    app.world.sql("insert into users (id, name, updated_at) values (1, 'old', now() - interval '1 day')")
    app.others_write()
    app.tick()
    app.take_time()
    yield app
    app.job.close()


@pytest.fixture
def quiet(app: Application) -> Iterator[Session]:
    """A session that only reads, in a transaction that is older than the job's time: reads start before it."""
    with psycopg.connect(app.world.env["POSTGRES_DSN"]) as session:
        session.execute("select now()")
        app.take_time()
        yield session


def assert_found(app: Application, report: TableReport) -> None:
    """The audit reported the rows, and the target has them."""
    assert any(LATE in event for event in report.events), report.events
    assert app.mode() == "xmin"
    app.world.assert_equal()


def test_a_transaction_that_was_open_across_a_tick(app: Application) -> None:
    """The next audit finds its rows, although the read that missed them saw a later transaction than theirs."""
    app.write(2, 501)
    app.others_write()
    app.tick()
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.missing() == 500  # until the audit
    assert_found(app, app.tick(audit_every=AT_ONCE))


def test_a_transaction_that_was_open_across_the_first_read(memory_world: MemoryWorld) -> None:
    """The first read counts as a read that may have missed rows."""
    app = Application(memory_world)
    app.others_write()
    app.take_time()
    app.write(2, 6)
    app.others_write()
    app.tick()
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.missing() == 5
    assert_found(app, app.tick(audit_every=AT_ONCE))
    app.job.close()


def test_a_transaction_that_was_open_across_an_idle_tick(app: Application, quiet: Session) -> None:
    """A tick that found nothing moves the bound like a read, so the audit judges it like a read."""
    app.others_write()
    app.tick()
    quiet.close()
    app.write(2, 6)
    assert app.tick().status is Status.IDLE
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.missing() == 5
    assert_found(app, app.tick(audit_every=AT_ONCE))


def test_a_transaction_that_ended_between_two_quiet_ticks(app: Application, quiet: Session) -> None:
    """No transaction id was given out between the ticks, yet the first missed rows that the second could see."""
    app.others_write()
    app.tick()
    quiet.close()
    app.write(2, 6)
    assert app.tick().status is Status.IDLE
    app.job.commit()
    assert app.tick().status is Status.IDLE
    assert app.tick().status is Status.IDLE
    assert app.missing() == 5
    assert_found(app, app.tick(audit_every=AT_ONCE))


def test_a_transaction_that_was_open_across_an_audit(app: Application) -> None:
    """An audit cannot see the rows of an open transaction; the one after it still can prove that they are late."""
    app.write(2, 6)
    app.others_write()
    app.tick()
    assert app.tick(audit_every=AT_ONCE).events == ()
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.missing() == 5
    assert_found(app, app.tick(audit_every=AT_ONCE))


def test_an_update_that_leaves_the_timestamp_alone(app: Application) -> None:
    """Also in a transaction that was open across a tick."""
    app.job.execute("update users set name = 'new' where id = 1")  # its timestamp is a day old
    app.others_write()
    app.tick()
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.world.differences()["public.users"] != []
    assert_found(app, app.tick(audit_every=AT_ONCE))


def test_a_prepared_transaction_needs_no_audit(app: Application) -> None:
    """Two-phase commit: nothing shows when such a transaction began, so reads start where they started before it."""
    app.write(2, 6)
    app.job.execute("prepare transaction 'job'")
    app.job.rollback()
    app.others_write()
    app.tick()
    app.world.sql("commit prepared 'job'")
    app.others_write()
    app.tick()
    app.world.assert_equal()


def test_rows_in_savepoints_are_read_again(app: Application) -> None:
    """A savepoint has a transaction id of its own, which no list of open transactions shows once it is released. Such
    rows are read again without a proof that they were missed, and the report says so."""
    app.job.execute("insert into users (id, name) values (2, 'before')")
    app.job.execute("savepoint a")
    app.write(3, 7)
    app.job.execute("release a")
    app.others_write()
    app.tick()
    app.job.commit()
    app.others_write()
    app.tick()
    assert app.missing() == 5
    report = app.tick(audit_every=AT_ONCE)
    assert any(AGAIN in event for event in report.events), report.events
    assert report.rows_read == 5
    app.world.assert_equal()
    assert app.mode() == "watermark"
    assert app.tick(audit_every=AT_ONCE).status is Status.IDLE


def test_a_transaction_that_waited_before_it_wrote_is_no_false_alarm(app: Application) -> None:
    """Its `now()` is older than the oldest open transaction, and its id is newer: the tick between read it already."""
    app.job.execute("select now()")
    with psycopg.connect(app.world.env["POSTGRES_DSN"]) as open_one:
        open_one.execute("insert into users (id, name) values (2, 'open')")
        app.job.execute("insert into users (id, name) values (3, 'waited')")
        app.job.commit()
        app.others_write()
        app.tick()
        assert app.missing() == 0
        report = app.tick(audit_every=AT_ONCE)
        assert not any(LATE in event for event in report.events)
        assert app.mode() == "watermark"
        open_one.commit()
    report = app.tick(audit_every=AT_ONCE)
    assert not any(LATE in event for event in report.events)
    assert app.mode() == "watermark"
    app.world.assert_equal()


def test_fast_ticks_leave_no_gap(app: Application) -> None:
    """With ticks much more frequent than audits, only some reads are remembered; a read goes back to the last of these,
    so that a row which is late by less is read at once."""
    for _ in range(3):
        app.others_write()
        app.tick(audit_every=3600)
    app.write(2, 6)
    app.job.commit()
    app.others_write()
    app.tick(audit_every=3600)
    app.world.assert_equal()
