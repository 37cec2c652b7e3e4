"""The server takes no more connections.

Group: connections
Danger: `max_connections`, or the limit of the role or the database, is reached between two connections of the same
tick. A run could wait for ever, or take a part of a table for all of it.
Answer: What could not be read fails with the limit that was met and what to do; tables that needed no further
connection are complete. The next tick tries again, and rows are read from where they were.
"""

from __future__ import annotations

import pytest

from pgsnow.testing.faults import AtPhase
from tests.edges.reader import reading_role
from tests.world import USERS_TABLE, MemoryWorld


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_is_reached_within_a_tick(memory_world: MemoryWorld, limit: int) -> None:
    """With no connection at all, and with one, which is too few for the rows."""
    world = memory_world
    world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 50) g")
    with reading_role(world) as role:
        world.sql(f"grant select on users to {role}; alter role {role} connection limit {limit}")
        with world.engine() as engine:
            (report,) = engine.tick().tables
        assert (report.error_type, report.transient) == ("SourceUnavailable", True)
        assert "CONNECTION LIMIT" in (report.advice or "")
        world.close_engine()
        world.sql(f"alter role {role} connection limit -1")
        with world.engine() as engine:
            assert engine.tick().failures == ()
        world.assert_equal()
        world.close_engine()


def test_the_application_takes_the_last_connections_while_rows_are_loaded(memory_world: MemoryWorld) -> None:
    """A tick with two tables goes on with the connections that it has."""
    world = memory_world
    world.sql("create table other as select g as id, now() as updated_at from generate_series(1, 50) g;"
              " alter table other add primary key (id);"
              " insert into users (id) select generate_series(1, 50)")  # fmt: skip
    world.tables.append({**USERS_TABLE, "source": "public.other", "target": "analytics.other"})
    database = world.source.info.dbname

    def take() -> None:
        world.sql(f"alter database {database} connection limit 0")

    with reading_role(world) as role:
        world.sql(f"grant select on users, other to {role}")
        with world.engine(AtPhase("read", take)) as engine:
            first = engine.tick()
        assert {table.error_type for table in first.failures} <= {"SourceUnavailable"}
        world.sql(f"alter database {database} connection limit -1")
        with world.engine() as engine:
            assert engine.tick().failures == ()
        world.assert_equal()
        world.close_engine()
