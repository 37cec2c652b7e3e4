"""How much an idle tick costs: a fixed number of statements, however many tables."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status
from tests.integration.ledger.conformance import checkpoint, report
from tests.integration.ledger.crew import PostgresCrew


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that leaves this process, as text."""
    texts: list[str] = []
    execute = psycopg.Connection.execute

    def listening(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        texts.append(query if isinstance(query, str) else query.as_string(self))
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", listening)
    return texts


def idle_tick(worker: Ledger, tables: list[str], x: int) -> None:
    claims, refusals = worker.leases.claim(tables, run_id=f"run-{x}", holder="h", min_age=0)
    assert (len(claims), refusals) == (len(tables), [])
    assert worker.checkpoints.advance_idle([(claim, checkpoint(x=x)) for claim in claims]) == []
    worker.leases.renew(claims)
    worker.run_log.finish([(claim, report(claim, Status.IDLE)) for claim in claims])
    worker.leases.release(claims)


def test_a_tick_of_a_hundred_idle_tables_sends_five_statements(crew: PostgresCrew, sent: list[str]) -> None:
    tables = [f"public.t{n}" for n in range(100)]
    worker = crew.worker()
    idle_tick(worker, tables, x=1)
    sent.clear()
    idle_tick(worker, tables, x=2)
    assert len(sent) == 5
    assert crew.sql("select count(*), min((checkpoint->>'x')::int) from sync_watermarks") == [(100, 2)]


def test_the_first_claim_of_new_tables_takes_two_statements_more(crew: PostgresCrew, sent: list[str]) -> None:
    worker = crew.worker()
    worker.run_log.watermarks()
    sent.clear()
    worker.leases.claim([f"public.t{n}" for n in range(100)], run_id="r", holder="h")
    assert len(sent) == 3


def test_times_are_kept_in_utc_and_odd_watermarks_as_text(crew: PostgresCrew) -> None:
    """last_watermark is NULL where Postgres's timestamp cannot say it; watermark_text always does."""
    worker = crew.worker()
    [claim], _ = worker.leases.claim(["t"], run_id="r", holder="h")
    for x, (text, stored) in enumerate(
        [
            ("2026-03-01 10:00:00.123456+02", "2026-03-01 08:00:00.123456"),
            ("2026-03-01 10:00:00", "2026-03-01 10:00:00"),
            ("2026-03-01", "2026-03-01 00:00:00"),
            ("0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00 BC"),
            ("12026-03-01 10:00:00+00", "12026-03-01 10:00:00"),
            ("20260301", None),
            ("-5", None),
            ("infinity", None),
            (None, None),
        ]
    ):
        worker.checkpoints.advance(claim, checkpoint(x=x, last_watermark=text))
        assert crew.sql("select last_watermark::text, watermark_text from sync_watermarks") == [
            (stored, text)
        ]


def test_totals_and_failures_are_counted(crew: PostgresCrew) -> None:
    worker = crew.worker()
    for number, status in enumerate([Status.OK, Status.ERROR, Status.STOPPED, Status.ERROR]):
        [claim], _ = worker.leases.claim(["t"], run_id=f"r{number}", holder="h")
        worker.run_log.finish([(claim, report(claim, status, rows_inserted=2, rows_updated=1))])
        worker.run_log.finish([(claim, report(claim, status, rows_inserted=2, rows_updated=1))])
        worker.leases.release([claim])
    totals = "select rows_processed, rows_total, consecutive_failures from sync_watermarks"
    assert crew.sql(totals) == [(3, 12, 2)]
    [claim], _ = worker.leases.claim(["t"], run_id="good", holder="h")
    worker.run_log.finish([(claim, report(claim, Status.IDLE))])
    assert crew.sql(totals) == [(0, 12, 0)]
