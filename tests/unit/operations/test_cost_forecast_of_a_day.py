"""The forecast of a day from a table list and what the ledger knows."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.cli.output.cost_text import forecast_lines
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.cost.forecast import Arrivals, LoadTime
from pgsnow.operations.cost.evidence import Evidence
from pgsnow.operations.cost.forecast import forecast_day


def config_of(*tables: dict[str, Any], **keys: Any) -> SyncConfig:
    listed = [
        {"source": f"public.t{number}", "target": f"s.t{number}", "watermark_column": "at", **table}
        for number, table in enumerate(tables)
    ]
    return parse_config({**keys, "tables": listed}, file="sync_config.yaml", env={})


ALWAYS = Evidence(
    {"public.t0": Arrivals.steady(1.0, 1000.0)}, {"public.t0": LoadTime(15.0, 0.0)}, {"public.t0": 1024.0**3}
)


def test_other_settings_are_named_with_what_they_save() -> None:
    """A table that always changes: 18 credits a day, a fifth of that with load_every: 10m; a warehouse that suspends
    itself earlier costs less. Tables that cannot be deferred are offered `every`."""
    day = forecast_day(config_of({}), ALWAYS)
    assert day.bill.credits == pytest.approx(18.0)
    assert day.tables["public.t0"].is_measured
    found = {other.setting: (other.tables, round(other.credits, 2)) for other in day.others}
    assert found == {"load_every: 1h": (1, 0.6), "load_every: 10m": (1, 3.6), "AUTO_SUSPEND = 30": (0, 12.0)}
    full = forecast_day(config_of({"mode": "full"}), ALWAYS)
    assert [other.setting for other in full.others] == ["every: 1h", "every: 10m", "AUTO_SUSPEND = 30"]
    deferred = forecast_day(config_of({"load_every": "1h"}, cost={"auto_suspend_seconds": 30}), ALWAYS)
    assert deferred.others == ()
    assert deferred.bill.compute == pytest.approx(0.6 * 60 / 90)


def test_tables_share_the_minute_and_the_price_is_divided_among_them() -> None:
    """Ten tables that change all the time resume the warehouse as often as one does."""
    day = forecast_day(config_of(*({} for _ in range(10)), {"enabled": False}), Evidence())
    assert len(day.tables) == 10
    assert not any(table.is_measured for table in day.tables.values())
    assert sum(table.credits for table in day.tables.values()) == pytest.approx(day.bill.compute)
    one = forecast_day(config_of({}), Evidence())
    assert one.bill.compute < day.bill.compute < 10 * one.bill.compute


def test_cloud_services_are_billed_beyond_a_tenth_of_the_warehouse() -> None:
    """720 PUTs and 24 MERGEs a day beside 0.6 credits of warehouse: of their 0.037 credits nothing is billed; at a
    higher rate, what exceeds 0.06 is."""
    day = forecast_day(config_of({"load_every": "1h"}), ALWAYS)
    assert day.bill.services == pytest.approx(744 * 0.05 / 1000)
    assert day.bill.services_billed == 0
    dear = config_of({"load_every": "1h"}, cost={"credits_per_1000_statements": 1})
    assert forecast_day(dear, ALWAYS).bill.credits == pytest.approx(0.6 + 0.744 - 0.06)


def test_a_table_that_is_replaced_stores_its_old_content_too() -> None:
    """Of a gigabyte that is replaced each hour, Time Travel stores a day: 24 gigabytes. Fail-safe adds seven days if
    the target is permanent: 192 gigabytes."""
    cost, table = {"storage_price": 23}, {"mode": "full", "every": "1h"}
    assert forecast_day(config_of(table, cost=cost), ALWAYS).stored == pytest.approx(24 * 1024.0**3)
    day = forecast_day(config_of({**table, "transient": False}, cost=cost), ALWAYS)
    assert day.stored == pytest.approx(24 * 8 * 1024.0**3)
    assert day.stored_price == pytest.approx(192 / 1024 * 23)
    assert forecast_day(config_of({"every": "1h"}), ALWAYS).stored == 0


def test_a_forecast_names_the_budget_that_slows_loads() -> None:
    """What loads would use without it, and that tables are slowed to keep it."""
    day = forecast_day(config_of({}, budget={"credits_per_day": 6}), ALWAYS)
    first, second, *_ = forecast_lines(day)
    assert first.startswith("Forecast: about 18.0 credits a day for 1 table together")
    assert second.startswith("  the budget is 6.0 a day: some tables are loaded less often")
    assert not any("budget" in line for line in forecast_lines(forecast_day(config_of({}), ALWAYS)))
