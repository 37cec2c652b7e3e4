"""Snowflake cannot be reached for a day, and then everything is loaded at once.

Group: account
Danger: With many tables, each tick of the outage would try a login for each of them, for minutes, and every worker
with it; when Snowflake is back, all tables would be loaded at the same moment, by statements without number.
Answer: After four logins that nobody answered, the other tables of a tick fail without one. Afterwards one login
serves all tables of a worker, `parallel_tables` bounds how many are loaded at a time, and however often rows
changed, they are read and loaded once, in their last state; the run that failed last costs four statements more.
"""

from __future__ import annotations

from pgsnow.testing.proxy import FaultProxy
from tests.world import USERS_TABLE, World

TABLES = [f"t{n}" for n in range(8)]
CREATE = """
create table {name} (id bigint primary key, name text, updated_at timestamptz not null default now());
insert into {name} select g, 'first' from generate_series(1, 20) g
"""


def test_the_outage_costs_few_logins_and_the_catch_up_few_statements(world: World) -> None:
    """Eight tables with changes: a tick of the outage, and the one after it."""
    for name in TABLES:
        world.sql(CREATE.format(name=name))
    world.tables = [
        {**USERS_TABLE, "source": f"public.{name}", "target": f"analytics.{name}"} for name in TABLES
    ]
    proxy = FaultProxy(int(world.env["SNOWFLAKE_PORT"])).start()
    world.through({"SNOWFLAKE_PORT": str(proxy.port)})
    with world.engine() as engine:
        assert engine.tick().failures == ()
        change(world, "before")
        usual = max(len(table.statements) for table in engine.tick().tables)
        proxy.behave(refuse=True)
        proxy.reset()
        for number in range(3):
            change(world, f"change {number}")
        report = engine.tick()
        assert {table.error_type for table in report.tables} == {"TargetUnavailable"}
        assert sum(table.logins for table in report.tables) <= 8
        proxy.heal()
        report = engine.tick()
    assert report.failures == ()
    assert sum(table.logins for table in report.tables) <= 1
    assert max(len(table.statements) for table in report.tables) <= usual + 4
    world.assert_equal()
    proxy.stop()


def change(world: World, name: str) -> None:
    """Every row of every table."""
    for table in TABLES:
        world.sql(f"update {table} set name = '{name}', updated_at = now()")
