"""GET {prefix}/metrics over a real ledger: what is in it, what it says when it cannot, and that replicas agree."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pgsnow.integrations.config_source import ConfigSource
from pgsnow.integrations.fastapi.metrics_route import metrics_routes
from pgsnow.integrations.fastapi.router import status_router
from pgsnow.integrations.fastapi.web import Web
from pgsnow.integrations.prometheus.collect import metrics_text
from pgsnow.integrations.prometheus.definitions import METRICS
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.settings.settings import Settings
from tests.progress import wait_until
from tests.world import NO_SNOWFLAKE, MemoryWorld

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
EVERYTHING = """
update sync_watermarks set lease_holder = 'w:1', lease_since = now(), lease_expires = now() + interval '1 hour',
    next_attempt_at = now() + interval '1 hour',
    staged = '[{"rows": 5, "bytes": 900, "staged_at": "2026-03-01T00:00:00+00:00"}]',
    sweep = sweep || jsonb_build_object('pending_since', extract(epoch from now()) - 60, 'pending_why', 'it was busy'),
    verification = '{"certificates": {"keys": {"method": "keys", "by": "verify",
        "began_at": "2026-03-01T00:00:00+00:00", "ended_at": "2026-03-01T00:00:00+00:00"}},
        "differences": {"counts": {"missing": 2}, "since": "x"}}';
insert into sync_backfills (source_table, run_id, fence, layout, checkpoint, prunes, reason, last_fence)
    values ('public.users', 'r', 1, '', '{}', false, '', 1);
update sync_watermarks set backfill = (select max(id) from sync_backfills);
insert into sync_chunks (backfill, number, state)
    select backfill, number, case number when 0 then 'done' else 'open' end
    from sync_watermarks, generate_series(0, 1) number where backfill is not null;
insert into sync_warehouses (warehouse, awake_from, awake_until, awake_seconds, credits)
    values ('WH', now(), now(), 61, 0.5);
insert into sync_slots (slot, generation, figures) values ('s', 1, '{"retained": 1, "limit": 2, "safe": 3,
    "server_spilled": 4, "newest_commit": "2026-01-31T12:00:00+00:00"}');
insert into sync_budget (day, credits_per_day, spent, paces)
    values ((now() at time zone 'UTC')::date, 6, 1, jsonb_build_object(
    'public.users', jsonb_build_object('load_every', 240, 'configured', 120, 'why', 'few credits', 'next_load', 0,
        'until', extract(epoch from now()) + 9000, 'held', false)));
"""


def samples(text: str) -> dict[tuple[str, str], float]:
    """(name, labels) → value."""
    return {(name, labels): float(value) for name, labels, value in SAMPLE.findall(text)}


def web_of(world: MemoryWorld) -> FastAPI:
    app = FastAPI()
    app.include_router(status_router(world.config, settings=world.settings, prefix="/data/sync"))
    return app


def scrape(app: FastAPI, path: str = "/data/sync/metrics") -> str:
    with TestClient(app) as client:
        answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    text: str = answer.text
    return text


def tick(world: MemoryWorld) -> None:
    with world.engine() as engine:
        engine.tick()


@pytest.fixture
def busy(memory_world: MemoryWorld) -> MemoryWorld:
    """Users that were loaded, changed, and then left alone; a table that never ran."""
    world = memory_world
    world.options["cost"] = {"credit_price": 3}
    world.tables.append(
        world.tables[0] | {"source": "public.new", "target": "analytics.new", "enabled": False}
    )
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    tick(world)
    world.sql("update users set name = 'x', updated_at = now() where id <= 3")
    tick(world)
    tick(world)
    return world


@needs_promtool
def test_every_metric_is_in_a_scrape_and_promtool_finds_no_fault(busy: MemoryWorld) -> None:
    """A metric that is documented is also there, with its labels, and the text is as Prometheus wants it."""
    busy.sql(EVERYTHING)
    busy.options |= {"budget": {"credits_per_day": 6}, "log_slot": "s"}
    busy.tables[0]["mode"] = "log"
    text = scrape(web_of(busy))
    found: dict[str, set[str]] = {}
    for name, labels in samples(text):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    assert found == {metric.name: set(metric.labels) for metric in METRICS}
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_values_are_those_of_the_runs(busy: MemoryWorld) -> None:
    """Rows, runs and freshness are what happened; a table that is disabled has no limit, so that it is never behind."""
    found = samples(scrape(web_of(busy)))
    users = 'table="public.users"'
    assert found["sync_success_count", ""] == 1
    assert found["sync_failure_count", ""] == 0
    assert found["rows_processed", users] == 0
    assert found["last_sync_duration_seconds", ""] > 0
    assert found["pgsnow_rows_total", f'{users},operation="inserted"'] == 20
    assert found["pgsnow_rows_total", f'{users},operation="updated"'] == 3
    assert found["pgsnow_rows_read_total", users] == 23
    assert found["pgsnow_runs_total", f'{users},status="ok"'] == 2
    assert found["pgsnow_runs_total", f'{users},status="idle"'] == 1
    phases = [value for (name, _), value in found.items() if name == "pgsnow_run_phase_seconds_total"]
    assert 0 < sum(phases) <= found["pgsnow_run_seconds_total", users]
    assert 0 <= found["pgsnow_freshness_seconds", users] < found["pgsnow_freshness_limit_seconds", users]
    assert found["pgsnow_table_state", f'{users},state="no-changes"'] == 1
    assert found["pgsnow_sync_state", 'state="fresh"'] == 1
    assert found["pgsnow_tables", 'state="off"'] == 1
    assert ("pgsnow_freshness_limit_seconds", 'table="public.new"') not in found


def test_a_counter_never_falls_and_every_replica_shows_the_same(busy: MemoryWorld) -> None:
    """Old rows of sync_logs are deleted, and another process is asked: no counter changes, so that no rate is wrong."""
    counters = {metric.name for metric in METRICS if metric.kind == "counter"}
    before = {key: value for key, value in samples(scrape(web_of(busy))).items() if key[0] in counters}
    busy.sql("delete from sync_logs")
    after = {key: value for key, value in samples(scrape(web_of(busy))).items() if key[0] in counters}
    assert before == after
    assert before


def test_before_the_first_run_there_are_metrics_too(memory_world: MemoryWorld) -> None:
    """A ledger without tables, or that nobody has used: the sync is empty, and nothing is said about its tables."""
    config = memory_world.config
    for schema in ("public", "not_there_yet"):
        ledger = Ledger(memory_world.settings.ledger, schema)
        found = samples(metrics_text(config, ledger, datetime.now(UTC)))
        ledger.close()
        assert found["pgsnow_ledger_up", ""] == 1
        assert found["pgsnow_sync_state", 'state="empty"'] == 1
        assert ("pgsnow_freshness_seconds", 'table="public.users"') not in found


def test_a_ledger_that_refuses_is_a_value_and_no_error(memory_world: MemoryWorld) -> None:
    """Prometheus sees that the ledger is down, and not just that a scrape failed; the password is nowhere."""
    env = {"POSTGRES_DSN": "postgresql://u:hunter2@127.0.0.1:1/nowhere", **NO_SNOWFLAKE}
    app = FastAPI()
    app.include_router(status_router(memory_world.config, settings=Settings.from_env(env)))
    text = scrape(app, "/sync/metrics")
    assert samples(text)["pgsnow_ledger_up", ""] == 0
    assert samples(text)["pgsnow_config_valid", ""] == 1
    assert "hunter2" not in text
    assert "pgsnow_freshness_seconds" not in text


def test_a_configuration_with_a_mistake_is_a_value_too(memory_world: MemoryWorld, tmp_path: Path) -> None:
    """The fault of the file is told apart from a ledger that is down."""
    path = tmp_path / "broken.yaml"
    path.write_text("tables: nonsense")
    app = FastAPI()
    app.include_router(status_router(path, settings=memory_world.settings))
    found = samples(scrape(app, "/sync/metrics"))
    assert (found["pgsnow_config_valid", ""], found["pgsnow_ledger_up", ""]) == (0, 0)


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_ledger_that_hangs_is_asked_once_and_answered_for_in_time(silent_server: socket.socket) -> None:
    """Each scrape is answered by the deadline, and however many come, one connection waits for the ledger."""
    port = silent_server.getsockname()[1]
    env = {"POSTGRES_DSN": f"postgresql://u:hunter2@127.0.0.1:{port}/shop?connect_timeout=60", **NO_SNOWFLAKE}
    settings, opened = Settings.from_env(env), list[Ledger]()

    def open_ledger() -> Ledger:
        opened.append(Ledger(settings.ledger))
        return opened[-1]

    app = FastAPI()
    web = Web(ConfigSource(config_of("users"), settings), open_ledger, protected=False, actions=False)
    app.include_router(metrics_routes(web, deadline=0.05))
    with TestClient(app) as client:
        for _ in range(3):
            assert samples(client.get("/metrics").text)["pgsnow_ledger_up", ""] == 0
        assert len(opened) == 1
        silent_server.accept()[0].close()
        wait_until(
            lambda: client.get("/metrics").text and len(opened) == 2, "the first reading has not ended"
        )


def config_of(*tables: str) -> SyncConfig:
    entries = [
        {"source": f"public.{name}", "target": f"a.{name}", "pk": "id", "watermark_column": "updated_at"}
        for name in tables
    ]
    return parse_config({"tables": entries}, file="sync_config.yaml", env={})
