"""The ledger is edited by hand.

Group: ledger
Danger: to read some rows again, someone sets `last_watermark` in `sync_watermarks` back. Nothing happens, and nothing
says so. Someone else writes `{}` into a JSON column, and no table is synced any more.
Answer: a `last_watermark` (or `watermark_text`) that was set back is where the next run reads from, once; NULL is the
beginning. A value that was set forward is ignored, because rows would be skipped. An event of the run says so, also for
a table that is not read by its watermark. What cannot be read stops that table alone, with the statement that helps.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status, TableReport
from pgsnow.operations.status.summary import status_of
from tests.world import MemoryWorld

OLD = "2020-01-01"
NAME = "public.users"


def run(world: MemoryWorld, name: str = NAME, **options: Any) -> TableReport:
    with world.engine() as engine:
        return next(report for report in engine.tick(**options).tables if report.table == name)


def edit(world: MemoryWorld, assignment: str, name: str = NAME) -> None:
    world.sql(f"update sync_watermarks set {assignment} where source_table = '{name}'")


@pytest.fixture
def synced(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users, one a year from 2015 on, which are synced. Their rows in the target are then changed by hand."""
    memory_world.sql(
        "insert into users (id, name, updated_at)"
        " select g, 'n', make_timestamptz(2014 + g, 6, 1, 0, 0, 0) from generate_series(1, 10) g"
    )
    assert run(memory_world).ok
    spoil(memory_world)
    return memory_world


def spoil(world: MemoryWorld) -> None:
    for row in world.target().rows:
        row["NAME"] = "spoilt"


def repaired(world: MemoryWorld) -> int:
    return sum(row["NAME"] != "spoilt" for row in world.target().rows)


@pytest.mark.parametrize("edited", ["last_watermark", "watermark_text"])
def test_a_watermark_set_back_is_read_from_there_once(synced: MemoryWorld, edited: str) -> None:
    """The five rows from 2020 on come again; the next tick is idle, and the ledger shows the newest watermark again."""
    before = synced.sql("select last_watermark, watermark_text from sync_watermarks")
    edit(synced, f"{edited} = '{OLD}'")
    report = run(synced)
    assert (report.status, report.full_read, report.rows_read, repaired(synced)) == (Status.OK, None, 5, 5)
    assert any("was set back to 2020-01-01" in event for event in report.events)
    assert synced.sql("select last_watermark, watermark_text from sync_watermarks") == before
    again = run(synced)
    assert (again.status, again.rows_read, again.events) == (Status.IDLE, 0, ())


def test_a_run_that_fails_reads_from_there_again(synced: MemoryWorld) -> None:
    """The edit is forgotten only when the rows are in the target."""
    edit(synced, f"last_watermark = '{OLD}'")
    with synced.engine(observer=_fail) as engine:
        assert engine.tick().failures != ()
    assert run(synced).rows_read == 5
    assert repaired(synced) == 5


def _fail(event: Any) -> None:
    if event.phase == "written":
        raise OSError("the worker's disk")


def test_null_is_the_beginning(synced: MemoryWorld) -> None:
    """Everything is read, and merged."""
    edit(synced, "last_watermark = null")
    report = run(synced)
    assert report.full_read == "last_watermark in sync_watermarks was set to NULL by hand"
    assert (report.rows_read, repaired(synced), len(synced.target().rows)) == (10, 10, 10)
    assert run(synced).status is Status.IDLE


def test_a_watermark_set_forward_skips_nothing(synced: MemoryWorld) -> None:
    """A new row below the value that was written is read, and the event says that the value was ignored."""
    edit(synced, "last_watermark = '2100-01-01', watermark_text = '2100-01-01 00:00:00+00'")
    synced.sql("insert into users (id, name) values (11, 'new')")
    report = run(synced)
    assert report.rows_read == 1
    assert any("set forward" in event and "ignored" in event for event in report.events)
    assert len(synced.target().rows) == 11
    assert run(synced).events == ()


def test_an_idle_table_says_it_too(synced: MemoryWorld) -> None:
    """Once: the ledger's value is corrected with the checkpoint."""
    edit(synced, "last_watermark = 'infinity'")
    report = run(synced)
    assert report.status is Status.IDLE
    assert any("set forward" in event for event in report.events)
    assert run(synced).events == ()


@pytest.mark.parametrize(
    "options",
    [
        {"late_rows": "off"},
        {"late_rows": "lookback", "lookback": "1d"},
        {"load_every": "1d"},
    ],
    ids=str,
)
def test_each_way_of_reading_by_a_watermark_honours_it(
    memory_world: MemoryWorld, options: dict[str, Any]
) -> None:
    """Whatever finds the changed rows, those from the edited value on are read again, once."""
    memory_world.tables[0] |= options
    memory_world.sql(
        "insert into users (id, name, updated_at)"
        " select g, 'n', make_timestamptz(2014 + g, 6, 1, 0, 0, 0) from generate_series(1, 10) g"
    )
    assert run(memory_world, load=True).ok
    spoil(memory_world)
    edit(memory_world, f"last_watermark = '{OLD}'")
    assert run(memory_world).rows_read == 5
    assert run(memory_world).rows_read == 0
    run(memory_world, load=True)
    assert repaired(memory_world) == 5
    assert run(memory_world).events == ()


def test_an_integer_watermark_is_set_back_by_its_text(memory_world: MemoryWorld) -> None:
    """`last_watermark` is a time, so an integer stands in `watermark_text`."""
    name = "public.items"
    memory_world.sql(
        "create table items (id bigint generated always as identity primary key, v text);"
        "insert into items (v) select 'v' from generate_series(1, 10)"
    )
    memory_world.tables = [{"source": name, "target": "items", "pk": "id", "watermark_column": "id"}]
    assert run(memory_world, name).ok
    edit(memory_world, "watermark_text = '7'", name)
    assert run(memory_world, name).rows_read == 4
    assert run(memory_world, name).status is Status.IDLE
    edit(memory_world, f"last_watermark = '{OLD}'", name)
    report = run(memory_world, name)
    assert "id is bigint" in (report.error or "")
    assert "watermark_text" in (report.advice or "")


def test_a_table_without_a_watermark_says_how_to_read_it_again(memory_world: MemoryWorld) -> None:
    """There is no place to read from, and the event names `pgsnow resync`."""
    memory_world.tables = [{"source": NAME, "target": "analytics.users", "pk": "id", "mode": "xmin"}]
    memory_world.sql("insert into users (id) values (1)")
    assert run(memory_world).ok
    edit(memory_world, f"last_watermark = '{OLD}'")
    [event] = run(memory_world).events
    assert "pgsnow resync public.users" in event
    assert run(memory_world).events == ()


def test_a_text_that_is_no_watermark_stops_the_table(synced: MemoryWorld) -> None:
    """The error names the table, the ledger's column and the value; correcting it is enough."""
    edit(synced, "watermark_text = 'yesterday evening'")
    report = run(synced)
    assert report.status is Status.ERROR
    assert "public.users: watermark_text in sync_watermarks is 'yesterday evening'" in (report.error or "")
    edit(synced, f"watermark_text = '{OLD}'")
    assert run(synced).rows_read == 5


def test_a_deleted_row_is_a_first_run(synced: MemoryWorld) -> None:
    """Everything is read and merged; nothing is doubled."""
    synced.sql("delete from sync_watermarks")
    assert run(synced).full_read == "first read"
    assert (repaired(synced), len(synced.target().rows)) == (10, 10)


JSON_COLUMNS = [
    ("checkpoint", "{}"),
    ("checkpoint", '{"mode": "watermark", "x": "many"}'),
    ("source_schema", "{}"),
    ("target_columns", '{"ID": 5}'),
    ("staged", "{}"),
    ("sweep", '"today"'),
    ("sweep", '{"swept_at": "today"}'),
    ("sweep", '{"leaves": {"16385": 5}}'),
    ("staged", '[{"batch": "b"}]'),
]


def test_json_that_is_none_of_ours_stops_one_table_and_names_it(synced: MemoryWorld) -> None:
    """The other table is synced, `status` can be shown, and the statement in the advice repairs the row."""
    synced.sql(
        "create table items (id int primary key, updated_at timestamptz not null default now());"
        "insert into items values (1)"
    )
    synced.tables.append({"source": "public.items", "target": "items", "watermark_column": "updated_at"})
    with synced.engine() as engine:
        engine.tick()
        for number, (column, value) in enumerate(JSON_COLUMNS):
            edit(synced, f"{column} = '{value}'")
            synced.sql(
                f"insert into items values ({number + 2}); insert into users (id) values ({number + 11})"
            )
            items, users = sorted(engine.tick().tables, key=lambda report: report.table)
            assert (items.status, items.rows_read, users.status) == (Status.OK, 1, Status.ERROR)
            assert f"public.users: {column} in public.sync_watermarks" in (users.error or "")
            assert status_of(synced.config, engine.ledger, users.started_at)["state"] == "failed"
            synced.sql((users.advice or "").split("`")[1])
            assert engine.tick([NAME]).failures == ()
            assert len(synced.target().rows) == number + 11


def test_the_list_of_open_transactions_is_only_a_help(synced: MemoryWorld) -> None:
    """Without a readable one, rows may be read twice; none is missed."""
    synced.sql("insert into sync_horizon (source, taken_at, begun) values ('x', 'now', '[]')")
    ledger = Ledger(synced.settings.ledger, "public")
    assert ledger.checkpoints.virtual_xids("x").taken_at == "-infinity"
    ledger.close()


def test_a_backfill_that_has_lost_chunks_starts_over(synced: MemoryWorld) -> None:
    """Chunks that are gone would not be read, and the backfill would look complete."""
    synced.sql(
        "insert into sync_backfills (source_table, run_id, fence, last_fence, layout, checkpoint, prunes, reason)"
        " select source_table, 'r', 1, 1, 'l', checkpoint, false, 'r' from sync_watermarks"
    )
    synced.sql(
        "insert into sync_chunks (backfill, number, first_block, end_block, state)"
        " select id, n, n * 10, case when n < 2 then n * 10 + 10 end, 'done'"
        " from sync_backfills, generate_series(0, 2) n"
    )
    edit(synced, "backfill = (select id from sync_backfills), checkpoint = null")
    ledger = Ledger(synced.settings.ledger, "public")
    [claim], _ = ledger.leases.claim([NAME], run_id="r", holder="h")
    assert ledger.backfills.current(claim) is not None
    for lost in ("number = 2", "number = 0", "true"):
        synced.sql(f"delete from sync_chunks where {lost}")
        assert ledger.backfills.current(claim) is None
    ledger.close()


def test_a_rejected_row_without_its_key_stays_open(synced: MemoryWorld) -> None:
    """Its row cannot be found, which must not look like a row that is gone from the source."""
    synced.sql("update users set balance = 'NaN', updated_at = now() where id = 5")
    with synced.engine() as engine:
        assert engine.tick().tables[0].status is Status.PARTIAL
        errors = [row.id for row in engine.ledger.rejected_rows.listed()]
        for key in ("{}", "[]", '{"id": 5}', '{"other": "5"}'):
            synced.sql(
                f"update sync_errors set key = '{key}'; update users set updated_at = now() where id = 4"
            )
            assert engine.tick().failures == ()
            [event] = engine.replay(errors).tables[0].events
            assert "entries of sync_errors name no row by its key (id)" in event
            assert synced.sql("select state from sync_errors") == [("open",)]
