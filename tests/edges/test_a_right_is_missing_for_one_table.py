"""A right is missing for one table.

Group: rights
Danger: a schema without USAGE, a function without EXECUTE, a foreign table without a user mapping or a table that was
dropped leads to advice that does not help, such as to check the password.
Answer: the advice follows from the error's SQLSTATE and the object concerned: it is the statement to run. A right that
is withdrawn between two ticks stops that table with the statement that restores it, and the other tables go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from pgsnow.model.errors import PgsnowError, SourceAccessDenied, SourceTableMissing
from pgsnow.model.report import TableReport
from pgsnow.model.table import SourceName
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.verify.source_rows import expected_rows
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.catalog.obstacles import try_read
from pgsnow.postgres.connection import Source
from pgsnow.sync.runtime.planner import prepare
from tests.edges.reader import reading_role
from tests.world import USERS_TABLE, MemoryWorld


@pytest.fixture
def role(memory_world: MemoryWorld) -> Iterator[str]:
    """A role that may read users."""
    memory_world.sql("insert into users (id, name) values (1, 'x')")
    with reading_role(memory_world) as role:
        memory_world.sql(f"grant select on users to {role}")
        yield role


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        return engine.tick().tables[0]


def check(world: MemoryWorld) -> str:
    source = Source(world.settings.source)
    with closing(source), source.connect() as conn:
        return check_table(conn, world.config.tables[0], world.settings.snowflake)[0][0].fix


@pytest.mark.parametrize(
    ("setup", "entry", "advice"),
    [
        (
            "create schema shop; create table shop.users (like users including all);"
            " grant select on shop.users to {role}",
            {"source": "shop.users"},
            "GRANT USAGE ON SCHEMA shop TO {role};",
        ),
        ("revoke select on users from {role}", {}, "GRANT SELECT ON public.users TO {role};"),
        (
            "create function chosen(bigint) returns boolean language plpgsql as 'begin return true; end';"
            " revoke execute on function chosen(bigint) from public",
            {"where": "chosen(id)"},
            "GRANT EXECUTE ON FUNCTION chosen(bigint) TO {role};",
        ),
        (
            "create schema f; create function f.chosen(bigint) returns boolean language sql as 'select true'",
            {"where": "f.chosen(id)"},
            "GRANT USAGE ON SCHEMA f TO {role};",
        ),
        (
            "create table other (id bigint)",
            {"where": "id in (select other.id from other)"},
            "GRANT SELECT ON public.other TO {role};",
        ),
    ],
    ids=["schema", "table", "function-in-where", "schema-of-a-function", "table-in-where"],
)
def test_the_advice_names_the_object(
    memory_world: MemoryWorld, role: str, setup: str, entry: dict[str, Any], advice: str
) -> None:
    """check and run say the same."""
    memory_world.sql(setup.format(role=role))
    memory_world.tables[0] |= entry
    assert tick(memory_world).advice == advice.format(role=role)
    assert check(memory_world) == advice.format(role=role)


def test_a_column_that_only_where_names(memory_world: MemoryWorld, role: str) -> None:
    """A column that is not loaded, but is needed to choose the rows, is named with its grant."""
    memory_world.sql(
        f"revoke select on users from {role}; grant select (id, name, updated_at) on users to {role}"
    )
    memory_world.tables[0] |= {"columns": {"include": ["id", "name"]}, "where": "balance is null"}
    found = tick(memory_world)
    assert found.advice == f"GRANT SELECT (balance) ON public.users TO {role};"
    assert check(memory_world) == found.advice


def test_a_function_that_where_calls_and_does_not_exist(memory_world: MemoryWorld, role: str) -> None:
    """The table is there, so the advice is to correct what uses the function."""
    memory_world.tables[0] |= {"where": "no_such_function(id)"}
    found = tick(memory_world)
    assert "public.users exists" in (found.advice or "")
    assert "`where:`" in (found.advice or "")
    assert check(memory_world) == found.advice


def test_a_table_that_is_not_there_is_looked_for(memory_world: MemoryWorld, role: str) -> None:
    """The advice says which tables of that name there are, in other schemas or spellings."""
    memory_world.sql('create schema shop; create table shop."Orders" (id int)')
    source = Source(memory_world.settings.source)
    with closing(source), source.connect() as conn:
        with pytest.raises(SourceTableMissing, match="there is no such table") as caught:
            describe(conn, SourceName("public", "orders"))
        assert 'It has shop."Orders".' in caught.value.advice
        with pytest.raises(SourceTableMissing, match="there is no schema nowhere"):
            describe(conn, SourceName("nowhere", "orders"))


def test_a_foreign_table_without_a_user_mapping(memory_world: MemoryWorld, role: str) -> None:
    """check, which reads no row, finds it as a run does; then a server that does not answer is not taken for ours."""
    memory_world.sql("create extension postgres_fdw")
    memory_world.sql(
        "create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1')"
    )
    memory_world.sql(f"create foreign table away (id int) server far; grant select on away to {role}")
    memory_world.tables = [{"source": "public.away", "target": "analytics.away", "mode": "full"}]
    found = tick(memory_world)
    assert (found.advice or "").startswith(f"CREATE USER MAPPING FOR {role} SERVER far OPTIONS")
    assert check(memory_world) == found.advice
    memory_world.sql(f"create user mapping for {role} server far options (user 'x', password 'y')")
    found = tick(memory_world)
    assert "Check that server far answers" in (found.advice or "")
    assert check(memory_world) == found.advice
    memory_world.sql("drop server far cascade")


def test_a_right_that_is_withdrawn_after_the_inspection(memory_world: MemoryWorld, role: str) -> None:
    """The read itself fails with the statement to run, too, and verify says the same."""
    config = memory_world.config.tables[0]
    source = Source(memory_world.settings.source)
    with closing(source), source.connect() as conn:
        prepared = prepare(config, describe(conn, config.source), memory_world.settings.snowflake)
        memory_world.sql(f"revoke select on users from {role}")
        with pytest.raises(SourceAccessDenied) as caught:
            try_read(conn, prepared.plan)
        assert caught.value.advice == f"GRANT SELECT ON public.users TO {role};"
        pages, _ = expected_rows(source, conn, prepared, {})
        with pytest.raises(PgsnowError, match="permission denied"):
            list(pages(10))


def test_other_tables_go_on(memory_world: MemoryWorld, role: str) -> None:
    """One table without rights stops no other one."""
    memory_world.sql("create table closed (id bigint primary key, updated_at timestamptz)")
    memory_world.tables.append({**USERS_TABLE, "source": "public.closed", "target": "analytics.closed"})
    with memory_world.engine() as engine:
        found = {report.table: report for report in engine.tick().tables}
    assert found["public.users"].ok
    assert found["public.closed"].advice == f"GRANT SELECT ON public.closed TO {role};"
    ((stored,),) = memory_world.sql(
        "select last_error from sync_watermarks where source_table = 'public.closed'"
    )
    assert f"role {role} may not read the table" in stored
