"""A ledger of every earlier version is upgraded with its rows, and synced with, from the first one on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.migrate import migrations
from pgsnow.operations.status.overview import overview_of
from pgsnow.operations.status.summary import status_of
from tests.world import MemoryWorld

SCHEMA = "sync"
TABLES = ("sync_watermarks", "sync_logs", "sync_errors")
NEWEST = migrations()[-1].version
VERSIONS = (4, 9, 13, 17)
"""The first version that was complete, and some of those since then; the last one is from before the status page."""
SHARED = """
select string_agg(quote_ident(old.attname), ', ') from pg_attribute old
join pg_attribute now on now.attrelid = %s::regclass and now.attname = old.attname and not now.attisdropped
where old.attrelid = %s::regclass and old.attnum > 0 and not old.attisdropped and old.attgenerated = ''
"""


def make_older(world: MemoryWorld, version: int) -> None:
    """Put a ledger of this version in the place of the present one, with those of its rows and columns that it has."""
    with world.source.transaction():
        world.source.execute(f"alter schema {SCHEMA} rename to present".encode())
        world.source.execute(f"create schema {SCHEMA}".encode())
        world.source.execute(f"set local search_path to {SCHEMA}".encode())
        for migration in migrations()[:version]:
            world.source.execute(migration.text.encode())
        for table in TABLES:
            [(columns,)] = world.source.execute(SHARED, [f"present.{table}", f"{SCHEMA}.{table}"]).fetchall()
            copied = f"insert into {table} ({columns}) overriding system value select {columns}"
            world.source.execute(f"{copied} from present.{table}".encode())
        world.source.execute("drop schema present cascade")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_ledger_goes_on_where_it_ended(memory_world: MemoryWorld, version: int) -> None:
    """Nothing is lost, nothing is read again, earlier runs are still shown, and a later tick has nothing to do."""
    world = memory_world
    world.tables[0]["deletes"] = "hard"
    world.options = {"ledger_schema": SCHEMA}
    world.sql("insert into users select n, 'name ' || n, n / 4.0, '{}' from generate_series(1, 50) n")
    world.sql("insert into users values (60, 'is rejected', 'NaN')")
    with world.engine() as engine:
        assert engine.tick().tables[0].status == "partial"
    world.close_engine()
    make_older(world, version)
    world.sql("insert into users (id, name) values (51, 'after the upgrade')")
    world.sql("update users set name = 'changed', updated_at = now() where id = 1")
    world.sql("delete from users where id = 2")
    world.sql("select pg_stat_force_next_flush()")
    with world.engine() as engine:
        [first] = engine.tick().tables
        [second] = engine.tick(["public.users"]).tables
        [third] = engine.tick(["public.users"]).tables
    assert (first.status, first.error, third.status) == ("ok", None, "idle")
    assert first.full_read is None, first.full_read
    world.assert_equal()
    assert world.sql("select max(version) from sync.pgsnow_migrations") == [(NEWEST,)]
    assert world.sql("select count(*) from sync.sync_logs where started_at is not null") >= [(3,)], second
    ledger = Ledger(world.settings.ledger, SCHEMA)
    document = status_of(world.config, ledger, datetime.now(UTC))
    overview = overview_of(world.config, ledger, datetime.now(UTC))
    ledger.close()
    assert [(table["state"], table["open_errors"]) for table in document["tables"]] == [("rows-refused", 1)]
    assert [table.name for table in overview.tables] == ["public.users"]
