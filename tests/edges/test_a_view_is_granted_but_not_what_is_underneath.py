"""A view is granted, but not what is underneath it.

Group: rights
Danger: SELECT on a view is not enough where it runs with the rights of its reader, where its owner lost a right, or
where it calls a function that the role may not call. The view is called "ok" or proposed, and then fails with advice
about the password.
Answer: `discover`, `check`, `plan` and `run` have Postgres check every right that a read needs, and all of them name
the same object with the same statement that grants it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from pgsnow.model.report import Status
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from pgsnow.operations.plan.preview import in_source
from pgsnow.operations.plan.result import TablePreview
from pgsnow.postgres.connection import Source
from tests.edges.reader import reading_role
from tests.world import MemoryWorld

UNDERNEATH = """
create table secret (id int primary key, v text); insert into secret values (1, 'x');
create schema closed; create table closed.t (id int primary key); insert into closed.t values (1);
create table guarded (id int primary key, v text); alter table guarded enable row level security;
create policy everything on guarded using (true); insert into guarded values (1, 'x');
create function twice(int) returns int language sql volatile as 'select 2 * $1';
revoke execute on function twice(int) from public;
create role lost_{role}; grant create on schema public to lost_{role};
create view by_invoker with (security_invoker = true) as select * from secret;
create view deeper as select * from by_invoker;
create view rows_of_guarded with (security_invoker) as select * from guarded;
create view calls as select id, twice(id) as n from secret;
create view owner_lost as select * from secret; alter view owner_lost owner to lost_{role};
create materialized view never_refreshed as select 1 as id with no data;
create function broken() returns int language plpgsql as 'begin return (select max(id) from gone_since); end';
create view calls_broken as select broken() as id;
grant select on by_invoker, deeper, rows_of_guarded, calls, owner_lost, never_refreshed, calls_broken to {role};
grant select on guarded to {role}
"""
CASES = {
    "by_invoker": "GRANT SELECT ON public.secret TO {role};",
    "deeper": "GRANT SELECT ON public.secret TO {role};",
    "rows_of_guarded": "ALTER ROLE {role} BYPASSRLS;",
    "guarded": "ALTER ROLE {role} BYPASSRLS;",
    "calls": "GRANT EXECUTE ON FUNCTION twice(integer) TO {role};",
    "owner_lost": "GRANT SELECT ON public.secret TO lost_{role};",
    "never_refreshed": "REFRESH MATERIALIZED VIEW public.never_refreshed;",
}


@pytest.fixture
def role(memory_world: MemoryWorld) -> Iterator[str]:
    with reading_role(memory_world) as role:
        memory_world.sql(UNDERNEATH.format(role=role))
        yield role
        memory_world.sql(f"drop owned by lost_{role} cascade; drop role lost_{role}")


def advice_of_check(world: MemoryWorld) -> dict[str, str | None]:
    source = Source(world.settings.source)
    found: dict[str, str | None] = {}
    with closing(source), source.connect() as conn:
        for table in world.config.tables:
            results, _ = check_table(conn, table, world.settings.snowflake)
            failed = [result.fix for result in results if result.level is Level.FAILED]
            found[table.source.table] = failed[0] if failed else None
    return found


def advice_of_plan(world: MemoryWorld) -> dict[str, str | None]:
    found = in_source(world.config, world.settings, world.config.tables, full=False)
    previews: list[TablePreview] = [each.preview for each in found]
    return {preview.table.partition(".")[2]: preview.advice for preview in previews}


def advice_of_run(world: MemoryWorld) -> dict[str, str | None]:
    with world.engine() as engine:
        reports = engine.tick().tables
    return {report.table.partition(".")[2]: report.advice for report in reports}


def advice_of_discover(world: MemoryWorld) -> dict[str, str | None]:
    found = discover(world.settings.source, Choice(include=tuple(CASES)))
    return {proposal.name.table: proposal.fix or None for proposal in found}


def test_check_plan_run_and_discover_give_the_same_statement(memory_world: MemoryWorld, role: str) -> None:
    """All four name the object and the statement; none says "ok", and none speaks of a password."""
    memory_world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "full"} for name in CASES
    ]
    wanted = {name: advice.format(role=role) for name, advice in CASES.items()}
    assert advice_of_check(memory_world) == wanted
    assert advice_of_plan(memory_world) == wanted
    assert advice_of_run(memory_world) == wanted
    assert advice_of_discover(memory_world) == wanted


def test_each_statement_removes_its_cause(memory_world: MemoryWorld, role: str) -> None:
    """After the statements were run, every view is read."""
    memory_world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "full"} for name in CASES
    ]
    for statement in advice_of_run(memory_world).values():
        memory_world.sql((statement or "").rstrip(";"))
    with memory_world.engine() as engine:
        assert {t.status for t in engine.tick().tables} == {Status.OK}
    memory_world.assert_equal()


def test_what_a_view_uses_and_is_gone_is_not_taken_for_the_view(memory_world: MemoryWorld, role: str) -> None:
    """The view is there; the message's table is not. The advice does not say to correct `source:`."""
    memory_world.tables = [{"source": "public.calls_broken", "target": "analytics.c", "mode": "full"}]
    with memory_world.engine() as engine:
        report = engine.tick().tables[0]
    assert "gone_since" in (report.error or "")
    assert "correct it in Postgres" in (report.advice or "")
