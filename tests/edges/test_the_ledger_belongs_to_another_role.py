"""The ledger's tables belong to another role.

Group: rights
Danger: after the worker's role was changed, or an administrator enabled row-level security on every table, the ledger
can no longer be written, or its rows are hidden, and everything is read again. `check` says "ok", because the schema
may be used.
Answer: `check` looks at the rights on each of the ledger's tables and prints the missing grants; hidden rows are an
error, never an empty ledger.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.errors import LedgerAccessDenied
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.result import CheckResult, Level
from tests.edges.reader import reading_role
from tests.world import MemoryWorld


@pytest.fixture
def role(memory_world: MemoryWorld) -> Iterator[str]:
    """A role that may read users and has the ledger's settings."""
    with reading_role(memory_world, ledger=True) as role:
        memory_world.sql(f"grant select on users to {role}")
        yield role


def failures(world: MemoryWorld) -> list[CheckResult]:
    found = check_ledger(world.settings.ledger, "public")
    return [result for result in found if result.level is Level.FAILED]


def test_check_prints_the_grants_that_a_run_needs(memory_world: MemoryWorld, role: str) -> None:
    """Each table is named, and with these grants alone the table is synced: nothing must be created any more."""
    found = failures(memory_world)
    assert f"GRANT SELECT, INSERT, UPDATE ON public.sync_watermarks TO {role};" in [f.fix for f in found]
    for result in found:
        memory_world.sql(result.fix.rstrip(";"))
    assert failures(memory_world) == []
    memory_world.sql("insert into users (id) values (1)")
    with memory_world.engine() as engine:
        assert engine.tick().failures == ()
    memory_world.assert_equal()


def test_one_right_that_is_missing_is_named_alone(memory_world: MemoryWorld, role: str) -> None:
    """The advice has the one privilege on the one table, and none that no statement uses."""
    memory_world.sql(f"grant all on all tables in schema public to {role}")
    memory_world.sql(f"revoke update, delete on sync_errors from {role}")
    [found] = failures(memory_world)
    assert found.fix == f"GRANT UPDATE ON public.sync_errors TO {role};"


def test_hidden_rows_are_no_empty_ledger(memory_world: MemoryWorld, role: str) -> None:
    """A run stops, instead of reading everything again."""
    memory_world.sql(f"grant all on all tables in schema public to {role}")
    memory_world.sql("alter table sync_watermarks enable row level security")
    memory_world.sql("create policy none on sync_watermarks using (false)")
    [found] = failures(memory_world)
    assert "row-level security of public.sync_watermarks" in found.detail
    with memory_world.engine() as engine, pytest.raises(LedgerAccessDenied, match="row-level security"):
        engine.tick()


def test_a_schema_that_may_not_be_used_is_named(memory_world: MemoryWorld, role: str) -> None:
    """No other advice is given than the grant on the schema."""
    memory_world.sql("create schema books; create table books.sync_watermarks (id int)")
    found = check_ledger(memory_world.settings.ledger, "books")
    assert [f.fix for f in found if f.level is Level.FAILED] == [
        f"GRANT USAGE, CREATE ON SCHEMA books TO {role};"
    ]


def test_an_upgrade_needs_the_owner(memory_world: MemoryWorld, role: str) -> None:
    """Tables of an older version are upgraded by the next run, which only their owner may do."""
    memory_world.sql(
        f"grant all on all tables in schema public to {role}; grant create on schema public to {role}"
    )
    memory_world.sql(
        "delete from pgsnow_migrations where version = (select max(version) from pgsnow_migrations)"
    )
    fixes = [f.fix for f in failures(memory_world)]
    assert f"ALTER TABLE public.sync_watermarks OWNER TO {role};" in fixes
    for fix in fixes:
        memory_world.sql(fix.rstrip(";"))
    with memory_world.engine() as engine:
        assert engine.tick().failures == ()


def test_a_database_without_connect(memory_world: MemoryWorld, role: str) -> None:
    """Source and ledger name the grant of the database, not the password or a table."""
    ((database,),) = memory_world.sql("select current_database()")
    memory_world.sql(f"revoke connect on database {database} from public")
    with pytest.raises(LedgerAccessDenied) as caught:
        check_ledger(memory_world.settings.ledger, "public")
    assert caught.value.advice == f'GRANT CONNECT ON DATABASE "{database}" TO "{role}";'
