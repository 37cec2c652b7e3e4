"""`pgsnow check` finds a warehouse whose bill would surprise."""

from __future__ import annotations

import pytest

from pgsnow.model.config.cost import CostConfig
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.target import check_account
from pgsnow.snowflake.session import Result

SETTINGS = Settings.from_env(
    {
        "POSTGRES_DSN": "postgresql://x@h/d",
        "SNOWFLAKE_ACCOUNT": "org-one",
        "SNOWFLAKE_USER": "loader",
        "SNOWFLAKE_PAT": "t0ken",
        "SNOWFLAKE_WAREHOUSE": "loads",
        "SNOWFLAKE_DATABASE": "lake",
    }
).snowflake


class OneWarehouse:
    """A session that shows one warehouse."""

    def __init__(self, size: str, suspend: int | None) -> None:
        self._row = ("LOADS", "SUSPENDED", size, suspend, "true")

    def execute(self, _sql: str) -> Result:
        columns = ("name", "state", "size", "auto_suspend", "auto_resume")
        return Result(rows=[self._row], columns=columns, query_id="")


@pytest.mark.parametrize(
    ("size", "suspend", "found"),
    [
        ("X-Small", 60, None),
        ("X-Small", None, "LOADS never suspends itself, and is billed all day"),
        ("X-Small", 600, "LOADS: auto_suspend_seconds is 600, and costs are estimated for 60"),
        ("2X-Large", 60, "LOADS: warehouse_size is 2x-large, and costs are estimated for x-small"),
    ],
)
def test_check_compares_the_warehouse_with_the_one_that_costs_are_estimated_for(
    size: str, suspend: int | None, found: str | None
) -> None:
    """A forecast for another warehouse than the one that is billed would mislead; the line to write is shown."""
    session = OneWarehouse(size, suspend)
    results = {each.name: each for each in check_account(session, SETTINGS, CostConfig())}  # type: ignore[arg-type]
    result = results["snowflake warehouse"]
    assert (str(result.level), result.detail) == ("warning", found) if found else ("ok", "LOADS")
    if suspend == 600:
        assert "cost: {auto_suspend_seconds: 600}" in result.fix
