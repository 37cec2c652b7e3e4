"""A table, a column or an index of the ledger is dropped.

Group: ledger
Danger: someone tidies up the database and drops sync_logs, or a column that nobody seems to use. From then on every
run fails, and its advice is to do what has just failed.
Answer: the statement that misses something has the ledger's structure created again, and is sent once more: the same
run goes on. What is still there is kept, so that a lost run log costs no checkpoint. A role that may not create the
missing part is told what is missing. A table that has lost its key is named, with the statement that starts it afresh.
"""

from __future__ import annotations

import pytest

from pgsnow.cli.invocation import or_nothing
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import LedgerAccessDenied
from pgsnow.model.report import Status, TableReport
from tests.edges.reader import reading_role
from tests.world import MemoryWorld


def run(world: MemoryWorld) -> TableReport:
    """In a process of its own: one whose ledger cannot be used keeps the table until it ends."""
    with world.new_engine() as engine:
        [report] = engine.tick().tables
    return report


@pytest.fixture
def synced(memory_world: MemoryWorld) -> MemoryWorld:
    """Twenty users, which are synced."""
    memory_world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    assert run(memory_world).ok
    memory_world.sql("update users set name = 'changed', updated_at = now() where id = 1")
    return memory_world


DROPPED = (
    "drop table sync_logs, sync_errors",
    "drop table sync_horizon, sync_chunks, sync_backfills, sync_logs",
    "drop table pgsnow_migrations",
    "alter table sync_watermarks drop column last_error, drop column applied_until, drop column staged",
    "alter table sync_logs drop column events, drop constraint sync_logs_pkey",
    "alter table sync_errors drop column state",
)


def test_the_run_goes_on_from_the_checkpoint(synced: MemoryWorld) -> None:
    """Only the changed row is read: what is created again does not touch the checkpoint."""
    for number, dropped in enumerate(DROPPED):
        synced.sql(f"update users set name = '{number}', updated_at = now() where id = 1; {dropped}")
        report = run(synced)
        assert (report.status, report.full_read, report.rows_read) == (Status.OK, None, 1)
        assert len(synced.sql("select 1 from sync_logs where status = 'ok' and events is not null")) >= 1
        keys = synced.sql("select 1 from pg_index where indrelid = 'sync_logs'::regclass and indisprimary")
        assert keys == [(1,)]
    synced.assert_equal()


def test_rejected_rows_are_recorded_without_their_index(synced: MemoryWorld) -> None:
    """Without the index, a statement that counts up an open error fails."""
    synced.sql(
        "drop index sync_errors_open; update users set balance = 'NaN', updated_at = now() where id = 2"
    )
    assert run(synced).status is Status.PARTIAL
    assert synced.sql("select key, state from sync_errors") == [({"id": "2"}, "open")]
    assert synced.sql("select 1 from pg_indexes where indexname = 'sync_errors_open'") == [(1,)]


def test_an_engine_that_is_running_goes_on_too(synced: MemoryWorld) -> None:
    """A worker looks at the ledger's version only once, so a table that is dropped later is missed by a statement. The
    first run of an empty ledger may find that the target has later fences; the second one has later ones yet."""
    with synced.engine() as engine:
        assert engine.tick().failures == ()
        synced.sql("drop table sync_logs, sync_errors, sync_watermarks, sync_chunks, sync_backfills")
        engine.tick()
        assert engine.tick().failures == ()
    synced.assert_equal()


def test_a_view_on_the_ledger_is_no_obstacle(synced: MemoryWorld) -> None:
    """A dashboard's view uses columns that an old migration gave a type."""
    synced.sql(
        "create view dashboard as select source_table, rows_processed, last_watermark from sync_watermarks"
    )
    synced.sql("drop table sync_logs")
    assert run(synced).ok
    assert len(synced.sql("select 1 from dashboard")) == 1


def test_chunks_without_their_backfill_are_not_taken_for_another_ones(synced: MemoryWorld) -> None:
    """Numbers of backfills begin at 1 again after their table was dropped."""
    synced.sql("insert into sync_backfills (source_table, run_id, fence, layout, checkpoint, prunes, reason)"
               " values ('gone', 'r', 1, 'l', '{}', false, 'r')")  # fmt: skip
    synced.sql("insert into sync_chunks (backfill, number, first_block) select id, 0, 0 from sync_backfills")
    synced.sql("update sync_watermarks set backfill = (select id from sync_backfills), checkpoint = null")
    synced.sql("drop table sync_logs; drop table sync_backfills cascade")
    assert run(synced).ok
    assert synced.sql("select backfill from sync_chunks") == []
    assert synced.sql("select conname from pg_constraint where conname = 'sync_chunks_backfill_fkey'") != []
    synced.assert_equal()


def test_a_role_that_may_not_create_is_told_what_is_missing(synced: MemoryWorld) -> None:
    """The error names the table and the grant; nothing was lost, and the owner's run creates it."""
    with reading_role(synced, ledger=True) as role:
        synced.sql(f"grant select on users to {role}; grant all on all tables in schema public to {role}")
        synced.sql("drop table sync_errors")
        with pytest.raises(LedgerAccessDenied, match="sync_errors") as caught, synced.engine() as engine:
            engine.tick()
        assert "its role may not change that: permission denied for schema public" in str(caught.value)
        assert "CREATE on schema public" in caught.value.advice


def test_a_table_whose_key_cannot_be_restored_is_named(synced: MemoryWorld) -> None:
    """Two rows have one key: which of them is right, only a person can say. The statement in the advice works."""
    synced.sql("alter table sync_logs drop constraint sync_logs_pkey")
    synced.sql("insert into sync_logs select * from sync_logs")
    report = run(synced)
    assert "public.sync_logs has lost its primary key" in (report.error or "")
    assert "DROP TABLE public.sync_logs;" in (report.advice or "")
    synced.sql("drop table public.sync_logs")
    assert run(synced).ok
    synced.assert_equal()


def test_a_command_that_only_reads_does_not_show_an_empty_ledger(synced: MemoryWorld) -> None:
    """`pgsnow status` said never-run for every table."""
    synced.sql("drop table sync_errors")
    ledger = Ledger(synced.settings.ledger, "public")
    with pytest.raises(LedgerAccessDenied, match="sync_errors") as caught:
        or_nothing(ledger.run_log.watermarks)
    assert "next run" in caught.value.advice
    ledger.close()
