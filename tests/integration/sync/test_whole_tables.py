"""Tables that are read as a whole: their content is replaced at once, or added to, and only when it has changed."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.snowflake.session import connect
from pgsnow.sync.runtime.events import Event
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.world import MemoryWorld, World

Row = tuple[Any, ...]
LOG = {
    "source": "public.log",
    "target": "analytics.log",
    "mode": "full",
    "batch_size": 2,
    "max_rows_per_load": 2,
    "load": "stage",
}


def tick(world: World, observer: Any = None, **options: Any) -> TableReport:
    with world.engine(observer or (lambda event: None)) as engine:
        return engine.tick(**options).tables[0]


def held(world: World, columns: str = "N, NOTE") -> list[Row]:
    return sorted(world.snowflake(f"SELECT {columns} FROM ANALYTICS.LOG"), key=repr)


@pytest.fixture
def log(world: World) -> World:
    return filled(world)


@pytest.fixture
def log_in_memory(memory_world: MemoryWorld) -> World:
    return filled(memory_world)


def filled(world: World) -> World:
    """A table without a key, with rows that are alike, in pages and load units of two rows."""
    world.sql("create table log (n int, note text)")
    world.sql("insert into log values (1, 'a'), (1, 'a'), (2, null), (null, null)")
    world.tables = [dict(LOG)]
    return world


def test_a_keyless_table_is_replaced_when_it_changed_and_left_alone_when_not(log: World) -> None:
    """In one statement, from one staging table for all load units; the same content sends nothing."""
    assert tick(log).status is Status.OK
    log.assert_equal()
    assert held(log) == [(1, "a"), (1, "a"), (2, None), (None, None)]
    log.sql("delete from log where n = 1; insert into log values (3, 'c'), (3, 'c'), (3, 'c'), (4, 'd')")
    log.sql("update log set note = 'b' where n = 2")
    report = tick(log)
    assert (report.status, report.load_units, report.rows_inserted) == (Status.OK, 3, 6)
    log.assert_equal()
    database = f'"{log.settings.snowflake.database}"'
    assert len([s for s in log.emulator.statements("INSERT OVERWRITE") if database in str(s)]) == 2
    logins = log.emulator.connections()
    assert tick(log).status is Status.IDLE
    assert log.emulator.connections() == logins
    assert log.leftovers() == []
    log.sql("truncate log")
    tick(log)
    assert held(log) == []


def test_each_row_tells_when_and_by_which_run_it_was_loaded(log: World) -> None:
    """In columns that are added to a target that has none; `audit_columns: false` adds none and leaves them alone."""
    log.tables[0] |= {"audit_columns": False}
    tick(log)
    assert len(log.snowflake("DESCRIBE TABLE ANALYTICS.LOG")) == 3
    log.tables[0] |= {"audit_columns": True}
    log.sql("insert into log values (9, 'z')")
    report = tick(log)
    told = log.snowflake(
        "SELECT DISTINCT _PGSNOW_RUN_ID, _PGSNOW_SYNCED_AT BETWEEN DATEADD(minute, -5, CURRENT_TIMESTAMP())"
        " AND CURRENT_TIMESTAMP() FROM ANALYTICS.LOG"
    )
    assert told == [(report.run_id, True)]
    log.assert_equal()


def test_a_table_with_a_pause_is_left_out_of_ticks_but_not_of_runs_by_hand(log_in_memory: World) -> None:
    log_in_memory.options["sync_interval_seconds"] = 0.001
    assert tick(log_in_memory, due_only=True).status is Status.OK
    assert tick(log_in_memory, due_only=True).status is Status.IDLE
    log_in_memory.tables[0] |= {"every": "1h"}
    assert tick(log_in_memory, due_only=True).status is Status.NOT_DUE
    assert tick(log_in_memory).status is Status.IDLE


def test_a_column_that_a_team_added_stays(log: World) -> None:
    tick(log)
    log.snowflake("ALTER TABLE ANALYTICS.LOG ADD COLUMN THEIRS VARCHAR")
    log.sql("insert into log values (9, 'z')")
    tick(log)
    assert held(log, "DISTINCT THEIRS") == [(None,)]
    log.assert_equal()


def test_a_stage_or_a_file_format_that_is_gone_is_created_again(log: World) -> None:
    """In the same run, although the process has seen both before."""
    tick(log)
    for gone in ("DROP STAGE ANALYTICS.PGSNOW_STAGE", "DROP FILE FORMAT ANALYTICS.PGSNOW_PARQUET"):
        log.snowflake(gone)
        log.sql("insert into log values (9, 'z')")
        assert tick(log).status is Status.OK
        log.assert_equal()


@pytest.mark.parametrize("emptied", [False, True])
def test_a_worker_that_lost_its_lease_neither_empties_nor_overwrites(
    log_in_memory: World, emptied: bool
) -> None:
    """It has staged everything when another run takes the table over, and loads a newer content (or none)."""
    tick(log_in_memory)
    log_in_memory.sql("insert into log values (3, 'stale')")

    def overtake() -> None:
        log_in_memory.sql("delete from log" if emptied else "update log set note = 'newer' where n = 3")
        log_in_memory.sql("update sync_watermarks set lease_expires = now(), lease_session = null")
        assert tick(log_in_memory).status is Status.OK

    report = tick(log_in_memory, AtPhase("copied", overtake, nth=3))
    assert report.status is Status.LOCKED
    log_in_memory.assert_equal()
    assert log_in_memory.leftovers() == []


def test_the_statement_of_a_stale_worker_changes_nothing(log: World) -> None:
    """Its guard alone, the lease apart: the target has rows of a run with a higher fence, and a column of its own."""
    tick(log)
    log.snowflake("ALTER TABLE ANALYTICS.LOG ADD COLUMN THEIRS VARCHAR")
    log.snowflake("UPDATE ANALYTICS.LOG SET THEIRS = 'x'")
    log.sql("delete from log; insert into log values (3, 'stale')")
    later = "UPDATE ANALYTICS.LOG SET _PGSNOW_FENCE = _PGSNOW_FENCE * 2"
    report = tick(log, AtPhase("put", lambda: log.snowflake(later)))
    assert report.error_type == "LedgerOutdated"
    assert ("x", 1) in held(log, "THEIRS, N")
    assert 3 not in [n for n, _ in held(log)]


def test_a_crash_between_put_and_overwrite_leaves_the_old_content_and_heals(log: World) -> None:
    tick(log)
    before = held(log)
    log.sql("delete from log where n = 1")

    def crash(event: Event) -> None:
        raise RuntimeError("crash")

    report = tick(log, AtPhase("put", lambda: crash(None)))  # type: ignore[arg-type]
    assert report.status is Status.ERROR
    assert held(log) == before
    assert log.leftovers() != []
    assert tick(log).status is Status.OK
    log.assert_equal()
    assert log.leftovers() == []


def test_a_content_that_came_back_after_a_crash_is_loaded_again(log_in_memory: World) -> None:
    """The run dies after it has replaced the content, and the source gets its former content back, which is the one of
    the checkpoint. The next run dies, too, before it reads anything."""
    tick(log_in_memory)
    log_in_memory.sql("update log set note = 'new' where n = 2")
    for phase in ("replaced", "swept"):
        with log_in_memory.new_engine(RaiseAt(phase, RuntimeError("dies"))) as engine:
            assert engine.tick().tables[0].status is Status.ERROR
        log_in_memory.sql("update log set note = null where n = 2")
    assert "interrupted" in (tick(log_in_memory, requested=True).full_read or "")
    log_in_memory.assert_equal()
    assert tick(log_in_memory).status is Status.IDLE
    assert log_in_memory.leftovers() == []


def test_readers_in_another_session_never_see_it_empty(log: World) -> None:
    tick(log)
    seen: list[int] = []
    with connect(log.settings.snowflake, query_tag="reader") as reader:

        def look(_: Event) -> None:
            seen.append(reader.execute("SELECT COUNT(*) FROM ANALYTICS.LOG").rows[0][0])

        log.sql("insert into log values (3, 'c'), (4, 'd')")
        tick(log, look)
    assert set(seen) == {4, 6}


def test_rejected_rows_of_a_keyless_table_wait_in_quarantine_and_heal(log: World) -> None:
    """Known by a digest of what was read; their replay reads the table again."""
    log.sql("alter table log add column d date")
    log.sql("update log set d = 'infinity' where note = 'a'")
    assert tick(log).status is Status.PARTIAL
    with log.engine() as engine:
        (entry,) = engine.ledger.rejected_rows.listed(table="public.log")
        assert list(entry.key) == ["_PGSNOW_HASH"]
        assert entry.payload == {"n": "1", "note": "a", "d": "infinity"}
    assert held(log) == [(2, None), (None, None)]
    log.assert_equal(expected={"public.log": "select * from log where note is distinct from 'a'"})
    assert tick(log).status is Status.IDLE
    log.tables[0] |= {"on_overflow": "null"}
    with log.engine() as engine:
        assert engine.replay([entry.id]).tables[0].status is Status.OK
        assert engine.ledger.rejected_rows.listed(table="public.log") == []
    log.assert_equal(cells={"d": "null"})


def test_append_keeps_what_the_source_forgets_and_counts_rows_that_are_alike(log: World) -> None:
    log.tables[0] |= {"mode": "append"}
    tick(log)
    log.assert_equal()
    log.sql("delete from log where n = 2; insert into log values (1, 'a'), (5, 'e')")
    assert tick(log).rows_inserted == 2
    assert held(log) == [(1, "a"), (1, "a"), (1, "a"), (2, None), (5, "e"), (None, None)]
    log.sql("alter table log add column more text")
    log.sql("insert into log values (6, 'f', 'm')")
    assert tick(log).rows_inserted == 1
    log.assert_equal()
    assert tick(log).status is Status.IDLE
    tick(log, full_refresh=True)
    assert held(log) == [(1, "a"), (1, "a"), (1, "a"), (5, "e"), (6, "f"), (None, None)]
    log.tables[0] |= {"mode": "full"}
    tick(log)
    log.assert_equal()


def test_a_table_changes_between_having_a_key_and_having_none(log_in_memory: World) -> None:
    """The former key's columns may be NULL from then on, and rows that the key knew are replaced."""
    log_in_memory.sql(
        "create table keyed (n int primary key, note text); insert into keyed values (1, 'a'), (2, 'b')"
    )
    log_in_memory.tables[0] |= {"source": "public.keyed", "mode": "xmin"}
    tick(log_in_memory)
    log_in_memory.assert_equal()
    log_in_memory.sql("alter table keyed drop constraint keyed_pkey; alter table keyed alter n drop not null")
    log_in_memory.sql("insert into keyed values (null, 'c'), (2, 'b')")
    log_in_memory.tables[0] |= {"mode": "full"}
    tick(log_in_memory)
    log_in_memory.assert_equal()
    log_in_memory.sql(
        "delete from keyed where n is null; delete from keyed where ctid = (select max(ctid) from keyed)"
    )
    log_in_memory.sql("alter table keyed add primary key (n)")
    log_in_memory.tables[0] |= {"mode": "xmin"}
    tick(log_in_memory)
    log_in_memory.assert_equal()
