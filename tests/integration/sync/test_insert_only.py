"""`insert_only`: rows are copied without a MERGE, and each is in the target once: after crashes, late commits, rows
that are read again, and rows that changed although they should not."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import TableReport
from pgsnow.testing.faults import RaiseAt
from tests.examples import rounds
from tests.integration.sync.test_deferred import fifty_days_go_by
from tests.world import MemoryWorld, World

POINTS = ("put", "staged", "copied", "inserted", "checkpointed", "swept")


@pytest.fixture
def events(memory_world: MemoryWorld) -> MemoryWorld:
    """A table of rows that never change, which has been loaded twice: from now on they are copied."""
    begin(memory_world)
    return memory_world


def begin(world: MemoryWorld | World) -> None:
    world.tables[0] |= {"insert_only": True, "audit_every": 0}
    for _ in range(2):
        add(world)
        tick(world)


def add(world: MemoryWorld | World, rows: int = 5) -> None:
    world.sql(
        f"insert into users select n + g, 'n' || g from generate_series(1, {rows}) g,"
        " (select count(*) n from users) counted"
    )


def tick(world: MemoryWorld | World) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.error is None, report.error
    return report


def copies(world: MemoryWorld) -> int:
    """How many batches were copied without a MERGE."""
    return len(world.target().copied)


def test_new_rows_are_copied_and_what_may_be_there_already_is_merged(events: MemoryWorld) -> None:
    """The first read after a full one is merged, because it is not known whether rows changed meanwhile; then rows are
    copied. A full refresh, a rewritten table and a changed rule of columns are merged."""
    before = copies(events)
    for more in range(3):
        add(events)
        assert tick(events).rows_inserted == 5
        assert copies(events) == before + more + 1
    events.sql("vacuum full users")
    add(events)
    tick(events)
    events.sql("alter table users add column city text")
    add(events)
    tick(events)
    assert copies(events) == before + 3
    with events.engine() as engine:
        engine.tick(full_refresh=True)
    events.assert_equal()
    assert events.leftovers() == []


def test_a_run_that_ends_anywhere_leaves_no_row_twice(events: MemoryWorld) -> None:
    """Also if rows were added before the next run, which stages them with those that are loaded already."""
    for phase in POINTS:
        add(events)
        with pytest.raises(KeyboardInterrupt), events.engine(RaiseAt(phase, KeyboardInterrupt())) as engine:
            engine.tick()
        add(events, 2)
        assert tick(events).full_read is None
        events.assert_equal()
    for after in (False, True):
        add(events)
        events.warehouse.fail("copy", TargetUnavailable("gone"), after=after)
        assert tick(events).full_read is None
        events.assert_equal()
    assert events.leftovers() == []


def test_more_batches_than_one_record_can_name_are_merged(
    events: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if an earlier run has copied some of them and was killed: no row is twice."""
    events.tables[0]["load_every"] = "50d"
    for _ in range(3):
        add(events)
        tick(events)
    with pytest.raises(KeyboardInterrupt), events.engine(RaiseAt("inserted", KeyboardInterrupt())) as engine:
        engine.tick(load=True)
    copied = copies(events)
    monkeypatch.setattr("pgsnow.model.deferred_batch.MOST_BATCHES", 2)
    with events.engine() as engine:
        [report] = engine.tick(load=True).tables
    assert (report.ok, report.load_units, copies(events)) == (True, 2, copied)
    events.assert_equal()


def test_files_that_are_lost_beside_loaded_ones_are_read_again_and_merged(events: MemoryWorld) -> None:
    """With load_every: a run is killed after its rows are committed, the next one stages more, and these files vanish.
    Nothing shows where the loaded rows ended, so everything is read, and no row is copied again."""
    events.tables[0] |= {"load_every": "50d"}
    add(events)
    tick(events)
    fifty_days_go_by(events)
    with pytest.raises(KeyboardInterrupt), events.engine(RaiseAt("copied", KeyboardInterrupt())) as engine:
        engine.tick()
    add(events)
    tick(events)
    add(events)
    tick(events)
    newest = max(events.warehouse.staged)
    events.warehouse.staged[newest].clear()
    with events.engine() as engine:
        [report] = engine.tick(load=True).tables
    assert report.error is None
    events.assert_equal()
    assert events.leftovers() == []


@given(
    steps=st.lists(
        st.sampled_from(["open", "write", "commit", "add", "tick", "killed", "audit"]),
        min_size=4,
        max_size=16,
    )
)
@settings(max_examples=rounds(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_transactions_and_ticks_copies_each_row_once(
    events: MemoryWorld, steps: list[str]
) -> None:
    """A transaction may begin before, and commit after, any number of reads, some of which are killed."""
    (top,) = events.sql("select max(id) from users")[0]
    with psycopg.connect(events.env["POSTGRES_DSN"]) as slow:
        for at, step in enumerate(steps):
            if step == "open":
                slow.execute("select txid_current()")
            elif step == "write":
                slow.execute("insert into users values (%s, 'slow')", [top + 1000 + at])
            elif step == "commit":
                slow.commit()
            elif step == "add":
                events.sql(f"insert into users values ({top + 1 + at}, 'quick')")
            elif step == "tick":
                tick(events)
            elif step == "audit":
                events.tables[0]["audit_every"] = "1ms" if events.tables[0]["audit_every"] == 0 else 0
            else:
                killed = RaiseAt(POINTS[at % len(POINTS)], KeyboardInterrupt())
                try:
                    with events.engine(killed) as engine:
                        engine.tick()
                except KeyboardInterrupt:
                    pass
        slow.commit()
    tick(events)
    events.assert_equal()


def test_a_read_that_does_not_know_what_it_saw_is_followed_by_a_merge(events: MemoryWorld) -> None:
    """While a transaction is open, rows of later ones are read again unless the read has noted them. One that reads
    rows by their watermark alone (after a restart of the server, or with a watermark that was set back by hand) notes
    none: the next read, too, has rows that are in the target."""
    with psycopg.connect(events.env["POSTGRES_DSN"]) as slow:
        slow.execute("select txid_current()")
        add(events)
        before = copies(events)
        events.sql("update sync_watermarks set watermark_text = '2020-01-01 00:00:00+00'")
        tick(events)
        add(events)
        tick(events)
        events.assert_equal()
        add(events)
        tick(events)
        events.assert_equal()
        assert copies(events) == before + 1


def test_one_transaction_copies_and_records_the_batch(world: World) -> None:
    """Exact statements: the upload, the record, the copy and its commit; the record is made once. A batch that the
    record names is not copied again."""
    begin(world)
    add(world)
    tick(world)
    before = world.emulator.noted()
    add(world)
    assert tick(world).rows_inserted == 5
    sent = [
        text
        for text in world.emulator.statements_since(before)
        if not text.startswith(("SHOW", "REMOVE", "DROP"))
    ]
    assert [text.split()[0] for text in sent] == ["PUT", "BEGIN", "UPDATE", "COPY", "COMMIT"]
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS__PGSNOW_BATCHES") == [(1,)]
    world.assert_equal()


def test_rows_are_merged_if_the_record_of_a_killed_run_was_dropped(world: World) -> None:
    """Nothing shows any more whether that run has copied its batch: it may not be copied again."""
    begin(world)
    add(world)
    tick(world)
    add(world)
    with pytest.raises(KeyboardInterrupt), world.engine(RaiseAt("inserted", KeyboardInterrupt())) as engine:
        engine.tick()
    world.snowflake("DROP TABLE ANALYTICS.USERS__PGSNOW_BATCHES")
    for _ in range(2):
        add(world)
        tick(world)
        world.assert_equal()
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS__PGSNOW_BATCHES") == [(1,)]


def test_updates_that_the_server_counts_late_leave_no_row_twice(events: MemoryWorld) -> None:
    """Also if nothing else changes after them; and with load_every if the rows wait to be copied meanwhile."""
    with psycopg.connect(events.env["POSTGRES_DSN"], autocommit=True) as app:
        for every in (0, "50d"):
            events.tables[0]["load_every"] = every
            app.execute("select pg_stat_force_next_flush()")
            add(events)
            tick(events)
            app.execute("update users set name = 'changed', updated_at = now() where id = 1")
            tick(events)
            app.execute("select pg_stat_force_next_flush()")
            fifty_days_go_by(events)
            tick(events)
            events.assert_equal()
    tick(events)
    assert tick(events).events == ()
