"""What `plan` shows is what `apply` and a run then send, to the letter."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from functools import reduce
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status
from pgsnow.model.table import SourceName
from pgsnow.operations.plan import apply as apply_module
from pgsnow.operations.plan.apply import apply
from pgsnow.operations.plan.preview import preview
from pgsnow.operations.plan.result import Action, TablePreview
from pgsnow.operations.plan.target import SAMPLE_FENCE
from pgsnow.postgres.catalog.describe import describe
from tests.progress import wait_until
from tests.world import World

SOME = "insert into users select g, 'user ' || g, g * 1.25, '{}' from generate_series(1, 100) g"
BATCH = re.compile(rf"{SAMPLE_FENCE}|(?<=\D)\d{{16}}(?=\D)")
LOADING = ("DESCRIBE", "CREATE", "INSERT", "PUT", "COPY", "MERGE", "DROP")
CLIENTS = "PUT 'file://part-"
"""The client asks once more, with the file's bare name, where to upload to."""
RUN = re.compile(r"'[0-9a-f]{16}'")
ROWS = re.compile(r'(OVER \(\)|"_PGSNOW_ROWS") = \d+')
FENCE = re.compile(r' AND n\."_PGSNOW_NEWEST" >= \d+')
BOUNDS = re.compile(r"BETWEEN \d+ AND \d+")
PATH = re.compile(r"file://\S+/(?=batch-)")


def looked(world: World) -> TablePreview:
    [found] = preview(world.config, world.settings)
    return found


def leveled(statements: list[str] | tuple[str, ...]) -> list[str]:
    """Without what is made up in a plan: the fence, the folder of the part file, the bounds of its keys, and
    numbers of rows."""
    made_up = (
        (BATCH, "0"),
        (PATH, "file://"),
        (RUN, "'run'"),
        (BOUNDS, "BETWEEN bounds"),
        (ROWS, r"\1 = 1"),
        (FENCE, ""),
    )
    return [
        reduce(lambda found, each: each[0].sub(each[1], found), made_up, statement)
        for statement in statements
    ]


def test_a_table_from_its_first_plan_to_a_run_that_changes_nothing(world: World) -> None:
    world.sql(SOME)
    world.sql("analyze users")
    first = looked(world)
    assert first.action is Action.CREATE
    assert (first.rows, first.mode, first.reads) == (100, "watermark", "everything: first read")
    assert first.bytes is not None
    assert first.bytes > 8000
    assert first.grants == ()

    before = world.emulator.noted()
    [applied] = apply(world.config, world.settings, ["public.users"]).tables
    assert applied.status is Status.APPLIED, applied.error
    assert applied.events == (f"created table {first.target}",)
    sent = world.emulator.statements_since(before)
    assert [statement for statement in sent if statement.startswith("CREATE ")][-2:] == list(first.ddl)[-2:]
    assert world.sql("select status, events from sync_logs") == [("applied", list(applied.events))]
    assert world.sql("select last_status, last_success, checkpoint from sync_watermarks") == [
        (None, None, None)
    ]
    second = looked(world)
    assert (second.action, second.ddl) == (Action.UNCHANGED, ())
    assert apply(world.config, world.settings, ["public.users"]).tables[0].events == ()

    foreseen = leveled(second.first_load)  # straight into the empty target
    assert [s for s in foreseen if s.startswith(LOADING)] == loading_statements(world)
    looks = [s for s in foreseen if s.startswith("SELECT")]
    assert len(looks) == 2
    assert all(world.emulator.statements(look) for look in looks)
    world.sql("update users set updated_at = now()")
    assert looked(world).first_load == ()
    assert loading_statements(world) == leveled([s for s in second.tick if s.startswith(LOADING)])
    assert looked(world).reads == "nothing"
    world.assert_equal()
    for mode in ("full", "append"):
        whole = {"mode": mode, "target": f"analytics.{mode}", "load": "stage"}
        world.tables = [{"source": "public.users", **whole}]
        apply(world.config, world.settings, ["public.users"])
        shown = looked(world)
        assert (shown.mode, shown.reads) == (mode, "everything: first read")
        assert loading_statements(world) == leveled([s for s in shown.tick if s.startswith(LOADING)])


def loading_statements(world: World) -> list[str]:
    """What a run sends to load, which does nothing else to the target."""
    before = world.emulator.noted()
    with world.engine() as engine:
        [run] = engine.tick().tables
    assert run.rows_inserted + run.rows_updated == 100, run.error
    sent = world.emulator.statements_since(before)
    return leveled([s for s in sent if s.startswith(LOADING) and not s.startswith(CLIENTS)])


def test_a_column_that_was_added_is_one_statement_and_a_table_held_elsewhere_is_left_to_its_run(
    world: World,
) -> None:
    with world.engine() as engine:
        engine.tick()
        world.sql("alter table users add column city text")
        changed = looked(world)
        assert changed.action is Action.CHANGE
        assert len(changed.ddl) == 1
        assert 'ADD COLUMN IF NOT EXISTS "CITY" VARCHAR' in changed.ddl[0]
        ledger = Ledger(world.settings.ledger, "public")
        ledger.leases.claim(["public.users"], run_id="other", holder="elsewhere:7")
        [held] = apply(world.config, world.settings, ["public.users"]).tables
        assert held.status is Status.LOCKED
        assert "elsewhere:7" in str(held.error)
        ledger.close()
        [applied] = apply(world.config, world.settings, ["public.users"]).tables
        assert applied.status is Status.APPLIED
        assert looked(world).ddl == ()
        world.sql(SOME)
        assert engine.tick().tables[0].ok
    world.assert_equal()


def test_a_target_that_was_dropped_is_made_again_and_the_next_run_reads_everything(world: World) -> None:
    """The empty table that `apply` makes must not be taken for the one whose rows the checkpoint stands for."""
    world.sql(SOME)
    with world.engine() as engine:
        engine.tick()
        world.snowflake("DROP TABLE ANALYTICS.USERS")
        gone = looked(world)
        assert (gone.action, gone.reads) == (Action.CREATE, "everything: the target is gone")
        apply(world.config, world.settings, ["public.users"])
        assert looked(world).reads == "everything: first read"
        assert engine.tick().tables[0].rows_inserted == 100
    world.assert_equal()


def test_with_manual_changes_a_run_waits_for_apply_and_then_goes_on(world: World) -> None:
    """A new table, columns that swap their names, a type that needs another column: the neighbour goes on meanwhile."""
    world.sql(SOME)
    world.sql("create table notes (id int primary key, updated_at timestamptz not null default now())")
    world.sql("insert into notes select g from generate_series(1, 3) g")
    notes = {**world.tables[0], "source": "public.notes", "target": "analytics.notes"}
    world.tables = [{**world.tables[0], "schema_changes": "manual"}, notes]
    with world.engine() as engine:
        for change in ("select 1", SWAPPED, RETYPED):
            world.sql(change)
            users, other = sorted(engine.tick().tables, key=lambda report: report.table, reverse=True)
            assert (users.error_type, other.ok) == ("SchemaChangePending", True)
            shown, _ = preview(world.config, world.settings)
            assert (shown.manual, shown.pending) == (True, True)
            assert [statement for statement in shown.ddl if statement not in str(users.error)] == []
            [applied] = apply(world.config, world.settings, ["public.users"]).tables
            assert applied.status is Status.APPLIED, applied.error
            assert applied.events
            assert preview(world.config, world.settings)[0].ddl == ()
            assert [report.error for report in engine.tick().tables] == [None, None]
            world.assert_equal()
    assert changes(world) == ()


SWAPPED = """alter table users rename column name to swap; alter table users rename column profile to name;
alter table users rename column swap to profile; alter table users add column city text default 'x';
insert into users (id) select id + 1000 from users"""
RETYPED = """alter table users alter column balance type text;
insert into users (id, balance) values (5000, 'much')"""


def changes(world: World) -> tuple[str, ...]:
    return tuple(change for each in preview(world.config, world.settings) for change in each.changes)


def test_a_changed_configuration_is_told_by_its_keys(world: World) -> None:
    with world.engine() as engine:
        engine.tick()
    world.tables[0] |= {"columns": {"exclude": ["profile"]}, "where": "id > 7"}
    assert changes(world) == ("the configuration has other values for columns, where",)


def test_tables_that_are_applied_at_the_same_time_share_a_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement of another table's thread may run on it at any moment."""
    world.sql("select pg_advisory_lock(7)")
    threads: list[threading.Thread] = []

    def then_another_uses_it(conn: psycopg.Connection[Any], table: SourceName) -> Any:
        found = describe(conn, table)
        threads.append(threading.Thread(target=wait_for_lock, args=(conn,)))
        threads[-1].start()
        wait_until(lambda: conn.info.transaction_status is TransactionStatus.ACTIVE, "a statement runs")
        return found

    monkeypatch.setattr(apply_module, "describe", then_another_uses_it)
    try:
        [applied] = apply(world.config, world.settings, ["public.users"]).tables
    finally:
        world.sql("select pg_advisory_unlock(7)")
        for thread in threads:
            thread.join()
    assert applied.status is Status.APPLIED, applied.error


def wait_for_lock(conn: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error):  # the connection is closed meanwhile
        conn.execute("select pg_advisory_lock(7)")


def test_how_a_target_is_stored_is_planned_and_only_apply_reclusters_it(world: World) -> None:
    """A new target is transient and clustered as its entry says. A later change of the clustering key is sent by
    `apply` alone, and one of the kind by nobody: plan says how. Without `cluster_by`, the target's key stays."""
    world.tables[0] |= {"transient": True, "cluster_by": ["balance", "id"]}
    first = looked(world)
    assert 'CLUSTER BY ("BALANCE", "ID")' in " ".join(first.ddl)
    assert first.storage == "transient (no Fail-safe)"
    shown = "SHOW TABLES LIKE 'USERS' IN SCHEMA ANALYTICS"
    with world.engine() as engine:
        engine.tick()
    assert looked(world).ddl == ()
    assert not any("transient" in warning for warning in looked(world).warnings)
    world.tables[0] |= {"transient": False, "cluster_by": "id"}
    changed = looked(world)
    assert [text.rpartition(" CLUSTER")[2] for text in changed.ddl] == [' BY ("ID")']
    assert any("drop it; the next run creates it again" in warning for warning in changed.warnings)
    with world.engine() as engine:
        engine.tick()
    assert looked(world).ddl == changed.ddl
    [applied] = apply(world.config, world.settings, ["public.users"]).tables
    assert applied.events[-1].endswith("is clustered by ID now")
    del world.tables[0]["cluster_by"]
    assert looked(world).ddl == ()
    [(kind, key)] = [(row[4], row[6]) for row in world.snowflake(shown)]
    assert (kind, "ID" in key) == ("TRANSIENT", True)
    world.tables[0]["cluster_by"] = ["balance", "id"]
    world.sql("alter table users drop column balance")
    dropped = looked(world)
    assert (dropped.ddl, dropped.error) == ((), None)
    assert any("until cluster_by in sync_config.yaml" in warning for warning in dropped.warnings)


def test_the_statements_of_a_table_whose_rows_never_change_are_those_of_its_transaction(world: World) -> None:
    """With `insert_only`, plan shows the copy and the record that belong together, as a run sends them."""
    world.tables[0] |= {"insert_only": True}
    kinds = [statement.split()[0] for statement in looked(world).tick]
    assert kinds[:5] == ["PUT", "BEGIN", "UPDATE", "COPY", "COMMIT"]
