"""A source seems to have lost its rows.

Group: history
Danger: the source shows no rows, or few: a wrong database, an empty restore, a TRUNCATE, rights that were taken away, a
policy or a view that hides rows. A search for deleted rows would then empty the target, while nothing was deleted.
Answer: Nothing is deleted if the source shows no row, if at least 1,000 rows and more than `max_delete_share` of the
target would go, or if the source or what the role may see of it has changed since the last search. New and changed rows
are loaded; the run ends with DeletesUnconfirmed and the number. `pgsnow run TABLE --confirm-deletes` goes on.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.report import Status, TableReport
from pgsnow.model.settings.settings import Settings
from tests.edges.reader import reading_role
from tests.servers import own_database
from tests.world import MemoryWorld

ALWAYS = {"sweep_every": "1ms", "sweep_share": "100%"}
"""Each tick searches for deleted rows."""


def tick(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        return engine.tick(**options).tables[0]


def ids(world: MemoryWorld) -> list[Any]:
    return sorted(row["ID"] for row in world.target().rows)


def assert_kept(world: MemoryWorld, report: TableReport, why: str) -> None:
    """Ten rows are in the target, and the run says why they were not deleted, and how they would be."""
    assert (report.status, report.error_type) == (Status.ERROR, "DeletesUnconfirmed"), report
    assert why in (report.error or "")
    assert "--confirm-deletes" in (report.advice or "")
    assert set(range(1, 11)) <= set(ids(world))


@pytest.fixture
def users(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users are loaded."""
    memory_world.tables[0] |= ALWAYS
    memory_world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    assert tick(memory_world).status is Status.OK
    return memory_world


@pytest.mark.parametrize("how", ["truncate users", "delete from users"])
def test_an_empty_source_empties_no_target(users: MemoryWorld, how: str) -> None:
    """However small the table is: the run says that it is empty, in each tick, until a person confirms it; that holds
    for one run."""
    users.sql(how)
    assert_kept(users, tick(users), "10 rows of 10 in Snowflake would be")
    assert_kept(users, tick(users), "shows none at all")
    assert tick(users, confirm_deletes=True).rows_deleted == 10
    assert ids(users) == []
    users.sql("insert into users select g from generate_series(1, 10) g")
    assert tick(users).ok
    users.sql(how)
    assert_kept(users, tick(users), "shows none at all")


def test_new_rows_are_loaded_while_deletes_wait(users: MemoryWorld) -> None:
    """A blocked search stops no other work."""
    users.sql("insert into users select g from generate_series(11, 3000) g")
    tick(users)
    users.sql("delete from users where id > 1000; insert into users values (5000)")
    report = tick(users)
    assert_kept(users, report, "more than `max_delete_share` (20%)")
    assert "2000 rows of 3001" in (report.error or "")
    assert 5000 in ids(users)
    assert tick(users).rows_read == 0


def test_few_rows_may_go_whatever_their_share(users: MemoryWorld) -> None:
    """Nine of ten rows are no unlikely number."""
    users.sql("delete from users where id > 1")
    assert tick(users).rows_deleted == 9


def test_a_wrong_database(users: MemoryWorld, postgres: EmbeddedPostgres, world_template: str) -> None:
    """The connection string leads to another database with an empty table of that name: its rows would be another
    configuration's."""
    ledger = users.env["POSTGRES_DSN"]
    with own_database(postgres, world_template) as dsn:
        users.settings = Settings.from_env({**users.env, "POSTGRES_DSN": dsn, "LEDGER_DSN": ledger})
        assert tick(users, confirm_deletes=True).error_type == "NotTheOwner"
    users.settings = Settings.from_env(users.env)
    assert tick(users).rows_deleted == 0
    users.assert_equal()


def test_an_empty_restore(users: MemoryWorld, postgres: EmbeddedPostgres, world_template: str) -> None:
    """The database was created again, under its name and without its rows. Everything is read, and nothing deleted."""
    dsn = users.env["POSTGRES_DSN"]
    name = dsn.rpartition("/")[2]
    with own_database(postgres, world_template) as ledger, psycopg.connect(ledger, autocommit=True) as other:
        users.settings = Settings.from_env({**users.env, "LEDGER_DSN": ledger})
        users.drop()
        users.sql("insert into users select g from generate_series(11, 2000) g")
        assert tick(users).ok
        users.source.close()
        other.execute(f"drop database {name} with (force)")
        other.execute(f"create database {name} template {world_template}")
        users.source = psycopg.connect(dsn, autocommit=True)
        assert_kept(users, tick(users), "shows none at all")
        assert_kept(users, tick(users), "shows none at all")
        assert len(ids(users)) == 2000
        assert tick(users, confirm_deletes=True).rows_deleted == 2000
        users.assert_equal()


def test_rights_that_were_taken_away(users: MemoryWorld) -> None:
    """A role that may not read the table, or some of its columns, gets an error, and not an empty table."""
    with reading_role(users) as role:
        users.sql(f"grant select on users to {role}")
        assert tick(users).ok
        users.sql(f"revoke select on users from {role}; grant select (id) on users to {role}")
        assert tick(users).error_type == "SourceAccessDenied"
        assert len(ids(users)) == 10


def test_row_level_security_is_switched_on(users: MemoryWorld) -> None:
    """A policy that shows no row is an error, too."""
    with reading_role(users) as role:
        users.sql(f"grant select on users to {role}")
        assert tick(users).ok
        users.sql("alter table users enable row level security")
        assert not tick(users).ok
        assert len(ids(users)) == 10


def test_a_view_that_shows_less(users: MemoryWorld) -> None:
    """Its definition, its owner or a policy underneath decides which rows it shows: a change is asked about, even if
    few rows would go."""
    users.sql("create view shown as select * from users")
    users.tables[0] |= {"source": "public.shown", "late_rows": "off", "target": "analytics.shown"}
    tick(users)
    tick(users)
    users.sql("create or replace view shown as select * from users where id > 4")
    report = tick(users)
    assert (report.error_type, report.rows_deleted) == ("DeletesUnconfirmed", 0)
    assert "4 rows of 10" in (report.error or "")
    assert tick(users, confirm_deletes=True).rows_deleted == 4
    users.sql("delete from users where id = 5")
    assert tick(users).rows_deleted == 1


def test_a_full_read_that_nobody_requested_empties_no_target(users: MemoryWorld) -> None:
    """The target was altered, so everything is read again, from a source that is empty by now."""
    users.target().rows.append({**users.target().rows[0], "ID": 77})
    users.sql("truncate users")
    assert any("everything is read again" in event for event in tick(users).events)
    assert_kept(users, tick(users), "shows none at all")
    assert_kept(users, tick(users), "shows none at all")
    tick(users, confirm_deletes=True)
    assert ids(users) == []
    assert users.sql("select unverified from sync_watermarks") == [(None,)]
