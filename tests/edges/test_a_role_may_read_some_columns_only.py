"""A role may read some columns of a table only.

Group: rights
Danger: GRANT SELECT (id, name) also hides the system columns that show which rows changed, and LOCK TABLE is refused.
A table that could be read is refused, or rows that changed are not found.
Answer: the table is read as long as every column that the configuration names may be read. Rows that changed are found
by the watermark alone, and a due audit reads the whole table if anything has changed; a grant on xmin makes it as cheap
as any other table. Where a column is missing, `check`, `plan` and `run` print the grant for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.sql import SQL

from pgsnow.model.errors import SchemaMoved
from pgsnow.model.report import Status, TableReport
from pgsnow.operations.check.result import CheckResult, Level
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover, write_table_list
from pgsnow.operations.plan.preview import in_source
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.runtime.planner import prepare
from tests.edges.reader import reading_role
from tests.world import USERS_TABLE, MemoryWorld

COLUMNS = ["id", "name", "updated_at"]
LISTED = {**USERS_TABLE, "columns": {"include": COLUMNS}, "max_skew": 0}


@pytest.fixture
def world(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 50) g")
    memory_world.tables = [dict(LISTED)]
    return memory_world


@pytest.fixture
def role(world: MemoryWorld) -> Iterator[str]:
    """A role that may read three columns of users, and sees all sessions."""
    with reading_role(world) as role:
        world.sql(f"grant select ({', '.join(COLUMNS)}) on users to {role}")
        world.sql(f"grant pg_read_all_stats to {role}")
        yield role


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        return engine.tick().tables[0]


def check(world: MemoryWorld) -> list[CheckResult]:
    """The results of the only table."""
    source = Source(world.settings.source)
    with closing(source), source.connect() as conn:
        return check_table(conn, world.config.tables[0], world.settings.snowflake)[0]


def test_inserts_and_updates_are_found_by_the_watermark_alone(world: MemoryWorld, role: str) -> None:
    """A changed row is in the target after the next tick."""
    assert tick(world).status is Status.OK
    world.assert_equal()
    world.sql("update users set name = 'changed', updated_at = now() where id = 7")
    world.sql("insert into users (id, name) values (100, 'new')")
    assert tick(world).status is Status.OK
    world.assert_equal()


def test_a_transaction_that_commits_late_is_found(world: MemoryWorld, role: str) -> None:
    """A row of a transaction that was open during a tick is read after its commit, though the watermark is past it."""
    tick(world)
    with psycopg.connect(world.env["POSTGRES_DSN"]) as late:
        late.execute("insert into users (id, name) values (200, 'late')")
        world.sql("insert into users (id, name) values (201, 'early')")
        tick(world)
        late.commit()
    world.sql("insert into users (id, name) values (202, 'after')")
    tick(world)
    world.assert_equal()


def test_an_idle_table_is_idle(world: MemoryWorld, role: str) -> None:
    """Without changes, Snowflake is not contacted: the newest row is not read in each tick."""
    world.sql("update users set updated_at = now() - interval '1 hour'")
    tick(world)
    before = world.warehouse.connections
    assert tick(world).status is Status.IDLE
    assert world.warehouse.connections == before


def test_an_audit_reads_everything_once_something_changed(world: MemoryWorld, role: str) -> None:
    """A row whose watermark the application set to the past is in the target after the next audit, and the report says
    which grant makes the audit cheap. Afterwards an audit that finds the same content reads nothing."""
    world.tables[0]["audit_every"] = 0.000001
    world.sql("update users set updated_at = now() - interval '1 hour'")
    tick(world)
    tick(world)
    world.sql("update users set name = 'backdated', updated_at = now() - interval '1 day' where id = 3")
    found = tick(world)
    assert "GRANT SELECT (xmin) ON public.users" in found.events[0]
    world.assert_equal()
    before = world.warehouse.connections
    assert tick(world).status is Status.IDLE
    assert world.warehouse.connections == before


@pytest.mark.parametrize(
    "entry",
    [
        {"mode": "full", "watermark_column": None, "pk": None},
        {"mode": "full", "watermark_column": None},
        {"mode": "append", "watermark_column": None},
        {"late_rows": "off"},
        {"columns": {"exclude": ["balance", "profile"]}},
        {"where": "id > 10"},
    ],
    ids=["full-without-key", "full", "append", "cursor", "exclude", "where"],
)
def test_every_way_of_reading_that_needs_no_system_column(
    world: MemoryWorld, role: str, entry: dict[str, Any]
) -> None:
    """The table is read in each of these ways, before and after a change."""
    world.tables = [{k: v for k, v in {**LISTED, **entry}.items() if v is not None}]
    assert tick(world).error is None
    world.sql("insert into users (id, name) values (300, 'new')")
    assert tick(world).error is None
    world.assert_equal()


@pytest.mark.parametrize(
    "entry", [{"mode": "xmin", "watermark_column": None}, {"late_rows": "lookback", "lookback": "1m"}]
)
def test_a_way_that_needs_xmin_names_the_grant(world: MemoryWorld, role: str, entry: dict[str, Any]) -> None:
    """The advice is the grant of the one column that is missing, and it works."""
    world.tables = [{k: v for k, v in {**LISTED, **entry}.items() if v is not None}]
    found = tick(world)
    assert "system column xmin" in (found.error or "")
    grant = (found.advice or "").partition(";")[0]
    assert grant == f"GRANT SELECT (xmin) ON public.users TO {role}"
    world.sql(grant)
    assert tick(world).status is Status.OK
    world.sql("update users set name = 'changed', updated_at = now() where id = 7")
    assert tick(world).status is Status.OK
    world.assert_equal()


def test_a_column_that_may_not_be_read_is_named_with_its_grant(world: MemoryWorld, role: str) -> None:
    """Without `include`, the whole table was asked for: the missing columns are named, and both ways out work."""
    del world.tables[0]["columns"]
    found = tick(world)
    assert found.error == f"public.users: role {role} may not read columns balance, profile"
    grant, _, rest = (found.advice or "").partition("; ")
    assert grant == f"GRANT SELECT (balance, profile) ON public.users TO {role}"
    assert "exclude: [balance, profile]" in rest
    world.sql(grant)
    assert tick(world).status is Status.OK
    world.assert_equal()


def test_a_key_or_a_watermark_that_may_not_be_read_cannot_be_left_out(world: MemoryWorld, role: str) -> None:
    """The advice does not say to exclude a column that is needed."""
    world.sql(f"revoke select (updated_at) on users from {role}")
    world.tables[0]["columns"] = {"include": ["id", "name"]}
    found = tick(world)
    assert found.error == f"public.users: role {role} may not read column updated_at"
    assert found.advice == f"GRANT SELECT (updated_at) ON public.users TO {role};"


def test_rights_that_come_and_go_between_ticks(world: MemoryWorld, role: str) -> None:
    """Each tick reads by the rights of its moment, and no change is lost between them."""
    tick(world)
    world.sql(f"grant select on users to {role}")
    world.sql("update users set name = 'one', updated_at = now() where id = 1")
    assert tick(world).status is Status.OK
    world.sql(f"revoke select on users from {role}")
    world.sql("update users set name = 'two', updated_at = now() where id = 2")
    denied = tick(world)
    assert denied.advice == f"GRANT SELECT ON public.users TO {role};"
    world.sql(f"grant select ({', '.join(COLUMNS)}) on users to {role}")
    assert tick(world).status is Status.OK
    world.assert_equal()


def test_discover_proposes_the_columns_that_may_be_read(world: MemoryWorld, role: str) -> None:
    """The proposed entry is one that check calls ok and that a run loads, with a profile and without."""
    for scan in (False, True):
        [proposal] = discover(world.settings.source, Choice(include=("users",)), scan=scan)
        assert proposal.entry is not None
        assert proposal.entry["columns"] == {"include": COLUMNS}
        assert any("may not read balance, profile" in reason for reason in proposal.reasons)
    file = world.folder / "proposed.yaml"
    write_table_list(file, [proposal], {})
    world.tables = [dict(table) for table in yaml.safe_load(file.read_text())["tables"]]
    world.tables[0]["target"] = "analytics.users"
    assert check(world)[0].level is Level.OK
    assert tick(world).status is Status.OK
    world.assert_equal()


def test_without_xmin_and_watermark_discover_proposes_to_read_the_whole(
    world: MemoryWorld, role: str
) -> None:
    """It never proposes a mode that the role's rights do not permit."""
    world.sql("create table plain (id int primary key, v text, hidden text)")
    world.sql(f"grant select (id, v) on plain to {role}; create table closed (id int, hidden text)")
    world.sql(f"grant select (hidden) on closed to {role}")
    found = {p.name.table: p for p in discover(world.settings.source, Choice(include=("plain", "closed")))}
    assert all((p.entry or {}).get("mode") == "full" for p in found.values())
    assert "GRANT SELECT (xmin) ON public.plain" in " ".join(found["plain"].reasons)


def test_check_and_plan_say_what_reading_without_xmin_costs(world: MemoryWorld, role: str) -> None:
    """The table is ok, with a warning that has the grant; plan gives the reason."""
    found = check(world)
    assert [result.level for result in found][:2] == [Level.OK, Level.WARNING]
    assert found[1].fix == f"GRANT SELECT (xmin) ON public.users TO {role};"
    [seen] = in_source(world.config, world.settings, world.config.tables, full=False)
    assert seen.preview.error is None
    assert "may not read xmin" in seen.preview.mode_reason
    assert seen.preview.grants == ()


@pytest.mark.parametrize(
    "entry", [{}, {"mode": "xmin", "watermark_column": None, "columns": {"include": COLUMNS}}]
)
def test_check_and_plan_refuse_what_a_run_refuses(
    world: MemoryWorld, role: str, entry: dict[str, Any]
) -> None:
    """The same sentence and the same advice, wherever the table is looked at."""
    world.tables = [{k: v for k, v in {**USERS_TABLE, **entry}.items() if v is not None}]
    ran = tick(world)
    [checked] = check(world)
    [seen] = in_source(world.config, world.settings, world.config.tables, full=False)
    assert ran.error is not None
    assert (checked.detail, checked.fix) == (ran.error, ran.advice)
    assert (seen.preview.error, seen.preview.advice) == (ran.error, ran.advice)


def test_a_large_table_is_read_by_ranges_of_its_key(world: MemoryWorld, role: str) -> None:
    """A first load in chunks needs no ctid."""
    world.tables[0]["max_mb_per_chunk"] = 1
    world.sql(
        "insert into users (id, name) select g, repeat('x', 100) from generate_series(1000, 16000) g; analyze users"
    )
    found = tick(world)
    assert any("chunks" in event for event in found.events), found
    world.assert_equal()


def test_a_new_partition_is_read_with_everything_else(world: MemoryWorld, role: str) -> None:
    """Rows of a filled partition that was attached are read, though the role may not see which rows are in it."""
    world.sql(
        "create table parts (id int primary key, v text, hidden text, updated_at timestamptz) partition by range (id)"
    )
    world.sql("create table low partition of parts for values from (0) to (100)")
    world.sql("insert into parts values (1, 'x', 'y', now())")
    world.sql(f"grant select (id, v, updated_at) on parts to {role}")
    world.tables = [{"source": "public.parts", "target": "analytics.parts", "watermark_column": "updated_at",
                     "columns": {"exclude": ["hidden"]}}]  # fmt: skip
    assert tick(world).error is None
    world.sql(
        "create table high (like parts including all); insert into high values (150, 'old', 'y', '2020-01-01')"
    )
    world.sql("alter table parts attach partition high for values from (100) to (200)")
    assert tick(world).full_read is not None
    world.assert_equal()


def test_a_table_that_is_truncated_while_it_is_read_is_read_again(world: MemoryWorld, role: str) -> None:
    """LOCK TABLE is refused to the role, so the snapshot may be older than the lock of its query: a table that was
    truncated and filled again in between looks empty to it, which is noticed."""
    source = Source(world.settings.source)
    config = world.config.tables[0]
    with source.connect() as conn:
        plan = prepare(config, describe(conn, config.source), world.settings.snowflake).plan
    with source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        world.sql(
            "begin; create table kept as table users; truncate users; insert into users table kept; commit"
        )
        with pytest.raises(SchemaMoved, match="replaced"):
            list(snap.batches(SQL("select id from users")))
    source.close()
