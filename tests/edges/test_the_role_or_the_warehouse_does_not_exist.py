"""The role or the warehouse of the settings does not exist.

Group: account
Danger: Snowflake lets a client in whose warehouse does not exist, and rejects its first COPY only. A misspelt name
would look like a fault of one table, and its staged files could be given up for it.
Answer: a role that does not exist is a refused login. Without a warehouse, every table fails with the advice to check
SNOWFLAKE_WAREHOUSE; nothing is loaded and no checkpoint moves. After the name is corrected, the next run loads
everything.
"""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import World


@pytest.fixture
def users(world: World) -> World:
    world.sql("insert into users select g, 'user ' || g from generate_series(1, 10) g")
    return world


def tick(users: World) -> TableReport:
    with users.engine() as engine:
        return engine.tick().tables[0]


@pytest.mark.parametrize(
    ("variable", "error"),
    [("SNOWFLAKE_ROLE", "TargetLoginRefused"), ("SNOWFLAKE_WAREHOUSE", "WarehouseUnusable")],
)
def test_the_advice_names_the_setting_and_nothing_is_lost(users: World, variable: str, error: str) -> None:
    """The table fails as a whole; the same settings with the right name load it."""
    before = users.env.get(variable, "")
    users.through({variable: "NO_SUCH_NAME"})
    failed = tick(users)
    assert (failed.status, failed.error_type) == (Status.ERROR, error)
    assert f"Check {variable}" in (failed.advice or "")
    users.through({variable: before})
    assert tick(users).status is Status.OK
    users.assert_equal()
