"""`budget:` in real ticks: what can wait is staged, a `max_lag` is kept, and the ledger says what was decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pgsnow.integrations.fastapi.router import status_router
from pgsnow.integrations.prometheus.collect import metrics_text
from pgsnow.ledger.alerts.alert import AlertRule
from pgsnow.ledger.budget.store import SavedBudget
from pgsnow.model.report import Status, SyncReport
from pgsnow.operations.alerts.finding import findings_of
from pgsnow.operations.plan.budget import budget_notes
from pgsnow.operations.status.budget import budget_of
from pgsnow.operations.status.overview import overview_of
from pgsnow.operations.status.summary import status_of
from tests.world import MemoryWorld

PLAIN = {"source": "public.plain", "target": "analytics.plain", "pk": "id", "mode": "full"}


@pytest.fixture
def shop(memory_world: MemoryWorld) -> MemoryWorld:
    """Users and a table in mode full, both loaded once, under a budget of 6 credits a day."""
    memory_world.options |= {"budget": {"credits_per_day": 6}}
    memory_world.tables.append(dict(PLAIN))
    memory_world.sql("create table plain (id bigint primary key, note text)")
    memory_world.sql("insert into users select g, 'n' || g, g from generate_series(1, 10) g")
    memory_world.sql("insert into plain values (1, 'first')")
    assert not tick(memory_world).failures
    return memory_world


def tick(world: MemoryWorld, **options: Any) -> SyncReport:
    with world.engine() as engine:
        return engine.tick(**options)


def spend(world: MemoryWorld, credits: float) -> None:
    """The warehouse has used so much since the day began; it is asleep now."""
    world.sql(
        "insert into sync_warehouses (warehouse, awake_from, awake_until, credits)"
        f" values ('none', now() - interval '2 hours', now() - interval '1 hour', {credits})"
        " on conflict (warehouse) do update set credits = excluded.credits"
    )


def staged_for(world: MemoryWorld, waited: str) -> None:
    """As if the oldest staged batch had been staged so long ago."""
    world.sql(
        "update sync_watermarks set staged = jsonb_set(staged, '{0,staged_at}',"
        f" to_jsonb(clock_timestamp() - interval '{waited}')) where staged is not null"
    )


def saved(world: MemoryWorld) -> SavedBudget:
    with world.engine() as engine:
        found = engine.ledger.budget.latest()
    assert found is not None
    return found


def test_changes_wait_in_files_once_the_credits_of_the_day_are_spent(shop: MemoryWorld) -> None:
    """They are read in each tick and loaded by a person's request or the next day's credits; nothing is lost. A table
    that cannot be staged is left alone, and says until when."""
    spend(shop, 5.99)
    shop.sql("insert into users values (11, 'new', 1)")
    shop.sql("update plain set note = 'second'")
    report = {table.table: table for table in tick(shop).tables}

    assert len(shop.target().rows) == 10
    assert report["public.users"].events[-1].startswith("staged 1 row, to be loaded within")
    assert report["public.plain"].status is Status.NOT_DUE
    assert (report["public.plain"].error or "").startswith(
        "not due: waits until 00:00 UTC: 5.99 of today's credits (6) are spent"
    )
    plan = saved(shop)
    assert plan.paces.keys() == {"public.users", "public.plain"}
    assert plan.conflict is None
    assert plan.held_until is not None
    assert plan.held_until.hour == 0
    assert plan.spent == pytest.approx(5.99)
    assert {pace.next_load for pace in plan.paces.values()} == {plan.held_until.timestamp()}

    spend(shop, 0.0)
    shop.options["budget"] = {"credits_per_day": 60}  # enough at any time of a day
    shop.sql("update sync_budget set credits_before = 0")
    staged_for(shop, "1 hour")
    tick(shop)
    assert len(shop.target().rows) == 11
    assert [row["NOTE"] for row in shop.target("analytics.plain").rows] == ["second"]
    assert saved(shop).held_until is None
    shop.assert_equal()


def test_a_max_lag_is_kept_whatever_it_costs(shop: MemoryWorld) -> None:
    """Staged changes are loaded before it has passed, although the credits are spent; the conflict is in the ledger
    before that."""
    shop.tables[0] |= {"max_lag": "30m"}
    shop.options["budget"] = {"credits_per_day": 1}
    tick(shop)
    spend(shop, 1.0)
    shop.sql("insert into users values (11, 'new', 1)")
    tick(shop)
    assert len(shop.target().rows) == 10
    conflict = saved(shop).conflict or ""
    assert conflict.startswith("the budget of 1 credit a day will not last")
    assert "max_lag of public.users (30m)" in conflict

    staged_for(shop, "26 minutes")
    shop.sql("insert into users values (12, 'newer', 1)")
    tick(shop)
    assert len(shop.target().rows) == 12
    assert shop.sql("select staged from sync_watermarks where source_table = 'public.users'") == [(None,)]


def test_tables_are_slowed_before_the_credits_are_gone(shop: MemoryWorld) -> None:
    """With too few credits for a load in each tick, the changes are loaded as often as they allow, and the ledger says
    how often and why. A request to load is carried out at once."""
    shop.options["budget"] = {"credits_per_day": 0.5}
    shop.sql("update sync_hours set runs_ok = 30, hour = hour - interval '2 hours'")
    shop.sql("update sync_budget set habits_at = null")
    shop.sql("insert into users values (11, 'new', 1)")
    tick(shop)
    pace = saved(shop).paces["public.users"]
    assert (pace.configured, pace.held) == (120.0, False)
    assert pace.load_every > 120
    assert "of today's credits (0.5) are spent" in pace.text
    assert len(shop.target().rows) == 10

    tick(shop)
    assert len(shop.target().rows) == 10
    staged_for(shop, f"{pace.load_every + 60} seconds")
    tick(shop)
    assert len(shop.target().rows) == 11

    shop.sql("insert into users values (12, 'newer', 1)")
    tick(shop)
    tick(shop, load=True)
    assert len(shop.target().rows) == 12


def test_nothing_is_loaded_in_quiet_hours_but_to_keep_a_max_lag(memory_world: MemoryWorld) -> None:
    """Also not a first load, which waits until they end; its report says so."""
    now = datetime.now(UTC)
    window = {"from": f"{now - timedelta(hours=2):%H:%M}", "to": f"{now + timedelta(hours=2):%H:%M}"}
    memory_world.sql("insert into users select g, 'n' || g, g from generate_series(1, 10) g")
    memory_world.options |= {"budget": {"quiet_hours": [window]}}
    [report] = tick(memory_world).tables
    assert report.status is Status.NOT_DUE
    assert (report.error or "").endswith("quiet hours")
    assert "NONE.ANALYTICS.USERS" not in memory_world.warehouse.tables

    memory_world.options |= {"budget": {"credits_per_day": 6}}
    tick(memory_world)
    memory_world.options |= {"budget": {"quiet_hours": [window]}}
    memory_world.tables[0] |= {"max_lag": "1h", "load_when_rows": 1, "load_every": "10m"}
    memory_world.sql("insert into users values (11, 'new', 1)")
    tick(memory_world)
    assert len(memory_world.target().rows) == 10
    staged_for(memory_world, "56 minutes")
    tick(memory_world)
    assert len(memory_world.target().rows) == 11


def test_status_page_metrics_and_alerts_say_who_is_slowed_and_that_the_budget_cannot_be_kept(
    shop: MemoryWorld,
) -> None:
    """All of them from what the tick has decided: how often, why, until when. A slowed table is not behind, and its lag
    is no alert; the conflict is one."""
    shop.tables[0] |= {"max_lag": "30m"}
    shop.options |= {
        "budget": {"credits_per_day": 1},
        "alerts": {"to": {"url": "http://localhost"}, "lag": "1s"},
    }
    spend(shop, 1.0)
    tick(shop)
    now = datetime.now(UTC) + timedelta(minutes=7)
    with shop.engine() as engine:
        config, ledger = shop.config, engine.ledger
        summary = status_of(config, ledger, now)
        whole = overview_of(config, ledger, now)
        metrics = metrics_text(config, ledger, now)
        assert config.alerts is not None
        found = findings_of(
            config, config.alerts, ledger.run_log.watermarks(), [], now, budget_of(config, ledger, now)
        )
    assert {table["state"] for table in summary["tables"]} == {"no-changes"}
    users = next(table for table in summary["tables"] if table["table"] == "public.users")
    assert users["slowed"]["configured"] == 120
    assert users["slowed"]["until"].endswith("T00:00:00+00:00")
    assert "waits until 00:00 UTC: 1.00 of today's credits (1) are spent" in users["why"]
    assert whole.budget is not None
    assert whole.budget.sentence.startswith("1.00 of today's 1 credit is spent")
    assert {table.name: table.behind_after > 1800 for table in whole.tables} == {
        "public.users": True,
        "public.plain": True,
    }
    assert "max_lag of public.users (30m)" in whole.budget.conflict
    assert 'pgsnow_slowed_load_seconds{table="public.users"}' in metrics
    assert "pgsnow_budget_conflict 1\n" in metrics
    assert [finding.rule for finding in found.found] == [AlertRule.BUDGET]

    app = FastAPI()
    app.include_router(status_router(config, settings=shop.settings))
    with TestClient(app) as client:
        page = client.get("/sync/").text
        detail = client.get("/sync/tables/public.users").text
        shown = client.get("/sync/api/v1/summary").json()["budget"]
        listed = client.get("/sync/api/v1/tables").json()["items"]
    assert "Credits today" in page
    assert "to keep the max_lag of public.users (30m)" in page
    assert "waits until 00:00 UTC" in detail
    assert (shown["limit"], shown["slowed"]) == (1, 2)
    assert [table["slowed"]["configured"] for table in listed] == [120, 120]


def test_a_plan_says_what_an_average_day_under_the_budget_is_like(shop: MemoryWorld) -> None:
    """What it costs, who is slowed, a conflict, and a max_lag that is too short for any waiting; nothing without a
    budget."""
    shop.sql("update sync_hours set runs_ok = 30, hour = hour - interval '2 hours'")
    shop.options["budget"] = {"credits_per_day": 0.5}
    notes = budget_notes(shop.config, shop.settings)
    assert notes[0].startswith("budget: an average day costs about 0.")
    assert notes[1].startswith("budget: public.users loads every ")
    shop.tables[1] |= {"max_lag": "4m"}
    notes = budget_notes(shop.config, shop.settings)
    assert any("to keep the max_lag of public.plain (4m)" in note for note in notes)
    assert notes[-1] == (
        "budget: public.plain is never slowed: its max_lag leaves no time to wait, which begins at 5m"
    )
    shop.options.pop("budget")
    assert budget_notes(shop.config, shop.settings) == []


def test_a_run_of_one_table_loads_what_the_tick_over_all_tables_has_decided(shop: MemoryWorld) -> None:
    """With `execution: distributed` another worker does it, which does not know that other tables wake the
    warehouse."""
    spend(shop, 5.99)
    shop.tables.append(
        {**PLAIN, "source": "public.others", "target": "analytics.others", "mode": "xmin", "max_lag": "4m"}
    )
    shop.sql("create table others (id bigint primary key, note text)")
    tick(shop, load=True)
    shop.sql("insert into users values (11, 'new', 1)")
    tick(shop)
    assert len(shop.target().rows) == 10
    staged_for(shop, "17 minutes")
    shop.sql("insert into others values (1, 'strict')")
    with shop.engine() as engine:
        found = engine.triage()
        assert set(found.busy) == {"public.users", "public.others"}
        engine.tick(["public.users"])
    assert len(shop.target().rows) == 11


def test_a_day_that_a_wrong_clock_has_begun_is_forgotten(shop: MemoryWorld) -> None:
    """Else the status would show that day, and when it comes, what was spent since would count as its own."""
    tick(shop)
    shop.sql(
        "insert into sync_budget select (jsonb_populate_record(b, '{\"credits_before\": 0}'::jsonb"
        " || jsonb_build_object('day', day + 1))).* from sync_budget b"
    )
    tick(shop)
    assert shop.sql("select day = (now() at time zone 'UTC')::date from sync_budget") == [(True,)]
    with shop.engine() as engine:
        assert budget_of(shop.config, engine.ledger, datetime.now(UTC)) is not None
