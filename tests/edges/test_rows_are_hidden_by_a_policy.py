"""Rows are hidden by a policy.

Group: rights
Danger: row-level security shows a role some of the rows, without an error. A table that is read so lacks the others in
Snowflake, and a full read deletes them there.
Answer: pgsnow reads with `row_security = off`, so that Postgres refuses such a read. `discover`, `check`, `plan` and
`run` refuse the table alike, and print the statement that lets the role see every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.operations.check.result import CheckResult, Level
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from pgsnow.operations.plan.preview import in_source
from pgsnow.postgres.connection import Source
from tests.edges.reader import reading_role
from tests.world import USERS_TABLE, MemoryWorld


@pytest.fixture
def role(memory_world: MemoryWorld) -> Iterator[str]:
    """A role that may read users."""
    memory_world.sql("insert into users (id, name) values (1, 'mine'), (2, 'theirs')")
    with reading_role(memory_world) as role:
        memory_world.sql(f"grant select on users to {role}")
        yield role


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        return engine.tick().tables[0]


def check(world: MemoryWorld) -> CheckResult:
    source = Source(world.settings.source)
    with closing(source), source.connect() as conn:
        return check_table(conn, world.config.tables[0], world.settings.snowflake)[0][0]


def all_advice(world: MemoryWorld) -> set[str | None]:
    """The advice of check, plan, run and discover."""
    [seen] = in_source(world.config, world.settings, world.config.tables, full=False)
    [proposal] = discover(world.settings.source, Choice(include=("users",)))
    return {check(world).fix, seen.preview.advice, tick(world).advice, proposal.fix}


@pytest.mark.parametrize(
    "policy",
    [
        "alter table users enable row level security",
        "alter table users enable row level security; create policy p on users to {role} using (id = 1)",
        "alter table users enable row level security; create policy p on users to {role} using (true)",
        "alter table users owner to {role}; alter table users force row level security;"
        " alter table users enable row level security",
    ],
    ids=["no-policy", "some-rows", "all-rows", "forced-upon-the-owner"],
)
def test_a_table_with_a_policy_is_refused_everywhere(
    memory_world: MemoryWorld, role: str, policy: str
) -> None:
    """All four give the statement with which every row is seen, and nothing is loaded."""
    memory_world.sql(policy.format(role=role))
    assert all_advice(memory_world) == {f"ALTER ROLE {role} BYPASSRLS;"}
    memory_world.sql(f"alter role {role} bypassrls")
    assert all_advice(memory_world) - {None, ""} == set()
    memory_world.assert_equal()


def test_the_owner_of_a_table_sees_its_rows(memory_world: MemoryWorld, role: str) -> None:
    """Row-level security that is not forced does not apply to the owner: the table is read."""
    memory_world.sql(f"alter table users owner to {role}; alter table users enable row level security")
    assert check(memory_world).level is Level.OK
    assert tick(memory_world).status is Status.OK
    memory_world.assert_equal()


def test_a_policy_that_comes_later_stops_the_table(memory_world: MemoryWorld, role: str) -> None:
    """The rows that are in the target stay there: hidden rows are not taken for deleted ones."""
    tick(memory_world)
    memory_world.sql("alter table users enable row level security")
    memory_world.sql(f"create policy p on users to {role} using (id = 1)")
    with memory_world.engine() as engine:
        for report in (engine.tick().tables[0], engine.tick(full_refresh=True).tables[0]):
            assert report.status is Status.ERROR
            assert report.advice == f"ALTER ROLE {role} BYPASSRLS;"
    assert len(memory_world.target().rows) == 2


def test_a_partition_s_own_policy_does_not_matter(memory_world: MemoryWorld, role: str) -> None:
    """Rows are read through the parent, whose rights alone count: neither a policy nor a missing grant of a partition
    stops the table."""
    memory_world.sql("create table parts (id int primary key, v text) partition by range (id)")
    memory_world.sql("create table low partition of parts for values from (0) to (10)")
    memory_world.sql("insert into parts values (1, 'x'); alter table low enable row level security")
    memory_world.sql(f"grant select on parts to {role}")
    memory_world.tables = [
        {**USERS_TABLE, "source": "public.parts", "target": "analytics.parts", "mode": "xmin"}
    ]
    del memory_world.tables[0]["watermark_column"]
    assert check(memory_world).level is Level.OK
    assert tick(memory_world).status is Status.OK
    memory_world.assert_equal()
