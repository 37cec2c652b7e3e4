"""The history of runs in a real ledger: what is counted, once, and what each reading costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.history.history import STATUSES
from pgsnow.ledger.history.rows import Cursor, RunRow
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status
from tests.examples import rounds
from tests.integration.ledger.conformance import report, take
from tests.integration.ledger.crew import PostgresCrew

RECENT = 20
LOGGED = [Status.OK, Status.IDLE, Status.PARTIAL, Status.ERROR, Status.STOPPED, Status.LOCKED]
NOW = datetime.now(UTC)


def finish(worker: Ledger, table: str, run_id: str, status: Status = Status.OK, **facts: Any) -> Claim:
    """One run from claim to release."""
    claim = take(worker, table, run_id)
    worker.run_log.finish([(claim, report(claim, status, **facts))])
    worker.leases.release([claim])
    return claim


RUNS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(LOGGED),
        st.integers(0, 1000),
        st.integers(0, 1000),
        st.dictionaries(st.sampled_from(["read", "merge", "put"]), st.floats(0, 100), max_size=3),
        st.integers(0, 30 * 24),
        st.booleans(),
    ),
    max_size=12,
)


@settings(
    max_examples=rounds(5),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(RUNS)
def test_counters_and_hours_are_the_sums_of_the_log_whatever_is_recorded_twice(
    crew: PostgresCrew, runs: list[Any]
) -> None:
    """Each run counts once in the counters and in its hour: also a run that is recorded again, and one that has lost
    its lease. Runs that `pgsnow apply` has logged count nowhere."""
    crew.sql("truncate sync_logs, sync_counters, sync_hours, sync_watermarks")
    worker = crew.workers[0] if crew.workers else crew.worker()
    for number, (table, status, inserted, deleted, phases, hours, again) in enumerate(runs):
        claim = take(worker, table, f"r{number}")
        ended = report(
            claim, status, rows_inserted=inserted, rows_deleted=deleted, phases=phases,
            started_at=NOW - timedelta(hours=hours), seconds=1.5,
        )  # fmt: skip
        worker.run_log.finish([(claim, ended)])
        if again:
            worker.run_log.finish([(claim, ended)])
        worker.leases.release([claim])
        worker.run_log.note([(replace(claim, run_id=f"apply{number}"), report(claim, Status.APPLIED))])
    counted = worker.history.counters()
    assert {row.source_table for row in counted} == {run[0] for run in runs}
    for row in counted:
        mine = [run for run in runs if run[0] == row.source_table]
        assert row.totals.runs == dict(Counter(run[1].value for run in mine))
        assert row.totals.rows_inserted == sum(run[2] for run in mine)
        assert row.totals.rows_deleted == sum(run[3] for run in mine)
        assert row.totals.seconds == pytest.approx(1.5 * len(mine))
        expected = Counter[str]()
        for run in mine:
            expected.update(run[4])
        assert row.totals.phases == pytest.approx(dict(expected))
        hours = worker.history.hours(row.source_table, NOW - timedelta(days=40))
        assert sum(sum(hour.totals.runs.values()) for hour in hours) == len(mine)
        assert sum(hour.totals.rows for hour in hours) == row.totals.rows
    together = worker.history.hours(None, NOW - timedelta(days=40))
    assert sum(hour.totals.rows for hour in together) == sum(row.totals.rows for row in counted)
    assert sorted(hour.hour for hour in together) == [hour.hour for hour in together]


def test_the_overview_has_the_newest_twenty_runs_and_the_last_day(crew: PostgresCrew) -> None:
    """The strip shows 20 runs, newest first; the totals are those of 24 hours, not of yesterday's."""
    worker = crew.worker()
    finish(worker, "t", "old", rows_inserted=500, started_at=NOW - timedelta(hours=30))
    for number in range(25):
        status = Status.ERROR if number == 24 else Status.OK
        finish(worker, "t", f"r{number}", status, rows_inserted=2, rows_updated=1, started_at=NOW)
    [row] = worker.history.overview()
    recent = worker.history.recent(["t", "unknown"])["t"]
    assert [run.run_id for run in recent] == [f"r{number}" for number in range(24, 4, -1)]
    assert len(recent) == RECENT
    assert (recent[0].status, recent[0].rows, recent[1].rows_updated) == ("error", 3, 1)
    assert row.newest == recent[0]
    assert row.day.runs == {"ok": 24, "error": 1}
    assert (row.day.rows, row.day.rows_inserted) == (75, 50)
    assert row.last_ok is not None


def test_a_run_that_lost_its_lease_is_in_the_log_and_in_the_counters_once(crew: PostgresCrew) -> None:
    """What it has loaded was loaded; the row of sync_watermarks belongs to the later run."""
    worker = crew.worker()
    lost = take(worker, "t", "lost")
    worker.leases.release([lost])
    finish(worker, "t", "later", Status.IDLE)
    worker.run_log.finish([(lost, report(lost, Status.ERROR, rows_inserted=7))])
    [row] = worker.history.counters()
    assert (row.totals.runs, row.totals.rows_inserted) == ({"idle": 1, "error": 1}, 7)
    [watermark] = worker.run_log.watermarks()
    assert watermark.last_status == "idle"


def test_counters_stay_when_the_log_is_purged_and_hours_go_after_35_days(crew: PostgresCrew) -> None:
    """A counter whose metric ends in `_total` must never fall, so retention does not touch it."""
    worker = crew.worker()
    finish(worker, "t", "r1", rows_inserted=3, started_at=NOW - timedelta(days=50))
    finish(worker, "t", "r2", rows_inserted=4)
    before = worker.history.counters()
    assert crew.worker().run_log.purge(7) == 1
    assert worker.history.counters() == before
    assert [hour.totals.rows for hour in worker.history.hours("t", NOW - timedelta(days=60))] == [4]
    assert worker.history.run("r1", "t") is None


def test_the_lag_is_that_after_the_run_and_just_before_it(crew: PostgresCrew) -> None:
    """A chart of the lag shows its peaks, which are just before a load, and not only the bottoms after it."""
    worker, now = crew.worker(), datetime.now(UTC)
    for number, minutes in enumerate([60, 10]):
        claim = take(worker, "t", f"r{number}")
        until = now - timedelta(minutes=minutes)
        crew.sql("update sync_watermarks set applied_until = %s", until)
        worker.run_log.finish(
            [(claim, report(claim, started_at=now + timedelta(seconds=number), seconds=0.0))]
        )
        worker.leases.release([claim])
    first, second = worker.history.lags("t", now - timedelta(hours=1))
    assert first.lag_seconds == pytest.approx(3600, abs=30)
    assert first.lag_before == pytest.approx(3600, abs=30)
    assert second.lag_seconds == pytest.approx(600, abs=30)
    assert second.lag_before == pytest.approx(3600, abs=30)
    assert max(hour.worst_lag or 0 for hour in worker.history.hours("t", now - timedelta(hours=2))) == (
        pytest.approx(3600, abs=30)
    )
    run = worker.history.run("r1", "t")
    assert run is not None
    assert run.applied_until == now - timedelta(minutes=10)


def test_pages_of_runs_and_events_follow_one_another_without_a_gap(crew: PostgresCrew) -> None:
    """Every run is on exactly one page, also if runs begin at the same moment or are added meanwhile."""
    worker = crew.worker()
    for number in range(9):
        status = (Status.OK, Status.IDLE, Status.ERROR)[number % 3]
        added = ("column added",) if number % 2 else ()
        finish(
            worker, "ab"[number % 2], f"r{number}", status, events=added,
            full_read="first run" if number == 5 else None,
            started_at=NOW - timedelta(seconds=number // 3),
        )  # fmt: skip

    def pages(**chosen: Any) -> list[RunRow]:
        found: list[RunRow] = []
        before: Cursor | None = None
        while page := worker.history.runs(**chosen, before=before, limit=2):
            found += page
            before = Cursor.from_text(page[-1].cursor.to_text())
            finish(worker, "c", f"new{len(found)}{chosen}", started_at=NOW + timedelta(hours=1))
        return found

    every = [run for run in pages() if run.source_table != "c"]
    assert sorted(run.run_id for run in every) == [f"r{number}" for number in range(9)]
    assert [run.started_at for run in every] == sorted((run.started_at for run in every), reverse=True)
    assert {run.run_id for run in pages(table="a", idle=False)} == {"r0", "r2", "r6", "r8"}
    assert {run.run_id for run in pages(status="error")} == {"r2", "r5", "r8"}
    events = worker.history.events(limit=1)
    while more := worker.history.events(before=events[-1].cursor, limit=1):
        events += more
    assert [(event.run_id, event.text) for event in events if event.run_id == "r5"] == [
        ("r5", "first run"),
        ("r5", "column added"),
    ]
    assert {event.run_id for event in events} == {"r1", "r3", "r5", "r7"}
    assert worker.history.events(table="a") == []


@pytest.mark.parametrize("text", ["", "x~y~z", "1e400~r~t", "1", "nan~r~t"])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    """A link that was cut or edited is a mistake of the request, not an error of the server."""
    with pytest.raises(ValueError, match=r".*"):
        Cursor.from_text(text)


def test_a_ledger_of_an_earlier_version_keeps_its_history(database: str) -> None:
    """After an upgrade the page does not begin with nothing: what is still in sync_logs is counted, once."""
    from pgsnow.ledger.migrate import migrations

    crew = PostgresCrew(database, "public")
    for migration in migrations()[:17]:
        crew.sql(migration.text)
    crew.sql(
        "insert into sync_logs (run_id, source_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,"
        " rows_dropped, rows_inserted, rows_updated, bytes_staged, load_units, query_ids, status, events, fence)"
        " select 'r' || n, 't', now() - n * interval '1 minute', now() - n * interval '1 minute', 1, '{}', 2, 0, 0, 2,"
        " 0, 10, 1, '{}', case when n = 3 then 'applied' else 'ok' end, '{}', n from generate_series(1, 30) n"
    )
    worker = crew.worker()
    worker.migrate()
    [row] = worker.history.overview()
    recent = worker.history.recent()["t"]
    assert [run.run_id for run in recent[:3]] == ["r1", "r2", "r4"]
    assert (len(recent), row.day.runs, row.day.rows) == (RECENT, {"ok": 29}, 58)
    crew.sql("drop table sync_checks")
    assert worker.checks.latest() is None
    assert worker.history.counters()[0].totals.runs == {"ok": 29}
    finish(worker, "t", "next")
    assert worker.history.counters()[0].totals.runs == {"ok": 30}
    crew.close()


def test_counters_that_were_edited_by_hand_stop_no_run(crew: PostgresCrew) -> None:
    """Nonsense in the history must not keep a run from being recorded, nor the page from being shown."""
    worker = crew.worker()
    finish(worker, "t", "r1", phases={"read": 1.0})
    crew.sql("update sync_counters set recent = '{\"a\": 1}', phases = '[1]', applied_until = 'infinity'")
    crew.sql("update sync_watermarks set applied_until = '-infinity'")
    assert worker.history.overview()[0].newest is None
    assert worker.history.recent() == {"t": ()}
    finish(worker, "t", "r2", phases={"read": 2.0})
    assert [run.run_id for run in worker.history.recent()["t"]] == ["r2"]
    [counted] = worker.history.counters()
    assert counted.totals.phases == {"read": 2.0}
    crew.sql('update sync_counters set recent = \'[["r", "ok", "x", 1]]\'')
    assert worker.history.overview()[0].newest is None


def test_every_status_of_the_log_has_a_counter() -> None:
    """A new status that is recorded must be counted, too."""
    assert set(STATUSES) == {status.value for status in LOGGED}


def test_messages_that_no_receiver_accepts_go_after_30_days(crew: PostgresCrew) -> None:
    """A receiver that is gone for good accepts none, and old messages must not wait for one that is accepted."""
    crew.sql(
        "insert into sync_alert_messages (incident, receiver, message, created_at)"
        " select 'i', 'gone', '{}', now() - age from unnest(array['29 days', '31 days']::interval[]) as age"
    )
    worker = crew.worker()
    worker.migrate()
    worker.run_log.purge(7)
    assert crew.sql("select count(*) from sync_alert_messages") == [(1,)]
