"""What the ledger says about costs and arrivals: sums of its runs, by table and by hour of the day."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgsnow.ledger.history.spending import LoadTimesRow, Spending, StatementKindRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.cost.forecast import LoadTime
from pgsnow.model.report import SentStatement, Status
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.cost.evidence import Evidence, evidence_of
from pgsnow.operations.cost.forecast import forecast_now
from pgsnow.operations.cost.result import DayForecast
from tests.integration.ledger.conformance import report, take
from tests.integration.ledger.crew import Dsn, PostgresCrew
from tests.world import NO_SNOWFLAKE

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)


def logged(crew: PostgresCrew, *runs: tuple[str, Status, float, dict[str, Any]]) -> Spending:
    """A ledger with one run each: table, status, hours after noon, facts."""
    worker = crew.worker()
    for number, (table, status, hours, facts) in enumerate(runs):
        claim = take(worker, table, f"r{number}")
        started = NOON + timedelta(hours=hours)
        worker.run_log.finish([(claim, report(claim, status, started_at=started, seconds=1.0, **facts))])
        worker.leases.release([claim])
    return Spending(worker.history.queries)


def test_arrivals_are_learned_from_the_hours_in_which_runs_found_something(crew: PostgresCrew) -> None:
    """Of three runs after noon, two found changes; an hour without a run counts like the mean of the others; the hour
    that has not ended, and a table that only failed, count nowhere."""
    spending = logged(
        crew,
        ("t", Status.OK, 0.1, {"rows_read": 40}),
        ("t", Status.PARTIAL, 0.2, {"rows_read": 20}),
        ("t", Status.IDLE, 0.3, {}),
        ("t", Status.IDLE, 1.1, {}),
        ("t", Status.OK, 24.1, {"rows_read": 20}),
        ("t", Status.OK, 26.1, {"rows_read": 500}),
        ("failed", Status.ERROR, 0.1, {}),
    )
    found = spending.arrivals(NOON, NOON + timedelta(hours=26, minutes=30), {}, 120.0)
    assert found.keys() == {"t"}
    assert (found["t"].quiet[12], found["t"].quiet[13], found["t"].quiet[3]) == (0.25, 1.0, 0.625)
    assert (found["t"].rows[12], found["t"].rows[13], found["t"].rows[3]) == (40.0, 0.0, 20.0)
    assert found["t"].seconds == 120.0
    slower = spending.arrivals(NOON, NOON + timedelta(hours=26), {"t": 3600.0}, 120.0)
    assert slower["t"].seconds == 3600.0


def test_costs_are_summed_by_table_and_by_kind_of_statement(crew: PostgresCrew) -> None:
    """Statements, seconds and credits are those of the runs since then; a run that needed no warehouse is no load."""
    sent = tuple(
        SentStatement(kind, "q", NOON, seconds, 1, warehouse=kind != "PUT")
        for kind, seconds in (("PUT", 0.5), ("MERGE", 2.0), ("MERGE", 3.0))
    )
    load = {
        "statements": sent,
        "statement_count": 3,
        "warehouse_seconds": 5.0,
        "logins": 1,
        "rows_updated": 70,
    }
    spending = logged(
        crew,
        ("a", Status.OK, 0.1, load),
        ("a", Status.OK, 0.2, {"statement_count": 1, "statements": sent[:1], "logins": 1}),
        ("b", Status.OK, -3.0, load),
    )
    [row] = spending.tables(NOON)
    assert (row.source_table, row.runs, row.rows, row.statements, row.warehouse_seconds) == (
        "a",
        2,
        70,
        4,
        5.0,
    )
    assert row.credits > 0
    assert row.since == NOON
    assert spending.load_times(NOON) == [LoadTimesRow("a", 1, 5.0, 70, 2)]
    merges, puts = StatementKindRow("MERGE", 2, 5.0, True), StatementKindRow("PUT", 2, 1.0, False)
    assert spending.kinds(NOON) == [merges, puts]
    assert spending.kinds(NOON, "b") == []


def test_what_a_person_has_written_into_the_log_stops_no_report(crew: PostgresCrew) -> None:
    """A list of statements that is none is left out."""
    spending = logged(crew, ("a", Status.OK, 0.1, {"statement_count": 1}))
    crew.sql("update sync_logs set statements = '\"gone\"'")
    assert spending.kinds(NOON) == []
    assert spending.tables(NOON)[0].credits == pytest.approx(0.0)


def test_a_forecast_takes_its_facts_from_the_last_seven_days(crew: PostgresCrew) -> None:
    """The mean load of a table and its bytes; a load of a table without a run is taken for as long as those of the
    others. A ledger before the first run knows nothing."""
    listed = [{"source": name, "target": name, "watermark_column": "at"} for name in ("public.a", "public.b")]
    config = parse_config({"tables": listed}, file="c.yaml", env={})
    sent = (SentStatement("MERGE", "q", NOON, 4.0, 1, warehouse=True),)
    load = {"statements": sent, "warehouse_seconds": 4.0, "rows_updated": 100_000, "bytes_staged": 500}
    logged(crew, ("public.a", Status.OK, 0.1, load), ("public.a", Status.OK, -24 * 8, load))
    known = evidence_of(config, crew.workers[0], NOON + timedelta(hours=2))
    assert known.work == dict.fromkeys(("public.a", "public.b"), LoadTime(3.0, 1e-5))
    assert known.sizes == {"public.a": 500.0}
    assert known.arrivals.keys() == {"public.a"}
    with closing(Ledger(Dsn(crew.dsn), "not_created_yet")) as ledger:
        assert evidence_of(config, ledger, NOON) == Evidence()


def test_a_plan_does_without_a_forecast_if_the_history_may_not_be_read(crew: PostgresCrew) -> None:
    """The role of a person who plans needs no right on the run log."""
    logged(crew, ("public.a", Status.OK, 0.1, {}))
    role = f"planner_{crew.dsn.rpartition('/')[2]}"
    crew.sql(f"create role {role} login")
    schema = sql.Identifier(crew.schema).as_string()
    crew.sql(
        f"grant usage on schema {schema} to {role}; grant select on pgsnow_ledger, pgsnow_migrations to {role}"
    )
    table = {"source": "public.a", "target": "a", "watermark_column": "at"}
    config = parse_config({"ledger_schema": crew.schema, "tables": [table]}, file="c.yaml", env={})

    def forecast(dsn: str) -> DayForecast | None:
        return forecast_now(config, Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE}))

    try:
        assert forecast(crew.dsn) is not None
        assert forecast(psycopg.conninfo.make_conninfo(crew.dsn, user=role)) is None
    finally:
        crew.sql(f"drop owned by {role}; drop role {role}")
