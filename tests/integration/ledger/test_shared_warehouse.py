"""Warehouse time that several runs share is counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.warehouse import Warehouse
from pgsnow.model.report import SentStatement
from tests.integration.ledger.conformance import report, take
from tests.integration.ledger.crew import PostgresCrew
from tests.progress import wait_until

START = datetime(2026, 3, 1, tzinfo=UTC)
COST = CostConfig.model_validate(
    {"warehouse_size": "small", "auto_suspend_seconds": 40, "suspend_lag_seconds": 20}
)
"""A warehouse that is awake for a minute after each statement."""
PER_SECOND = 2 / 3600


def log(crew: PostgresCrew, table: str, *statements: tuple[float, float], warehouse: str = "WH") -> float:
    """The credits of a run with statements at these (second, seconds), recorded by another worker."""
    worker = crew.worker()
    claim = take(worker, table)
    sent = tuple(
        SentStatement("MERGE", "q", START + timedelta(seconds=at), seconds, 1, warehouse=True)
        for at, seconds in statements
    )
    done = [(claim, report(claim, statements=sent))]
    for _ in range(2):  # the second time as after a lost answer
        worker.run_log.finish(done, cost=COST, warehouse=warehouse)
    worker.leases.release([claim])
    credits: float = worker.run_log.logs(table=table, limit=1)[0]["credits"]
    return credits


def test_a_run_is_charged_for_the_time_by_which_it_lengthens_the_warehouse(crew: PostgresCrew) -> None:
    """Whichever worker a run is on: the sum over all runs is what the warehouse is billed for, and no second is in it
    twice, not even if a record is sent again."""
    assert log(crew, "first", (0, 10)) == pytest.approx(70 * PER_SECOND)
    assert log(crew, "beside it", (2, 5)) == 0
    assert log(crew, "a little longer", (5, 15)) == pytest.approx(10 * PER_SECOND)
    assert log(crew, "began earlier", (-20, 30)) == pytest.approx(20 * PER_SECOND)
    assert log(crew, "after the suspension", (500, 1)) == pytest.approx(61 * PER_SECOND)
    assert log(crew, "another warehouse", (500, 1), warehouse="OTHER") == pytest.approx(61 * PER_SECOND)
    assert log(crew, "with a pause", (600, 1), (900, 1)) == pytest.approx(122 * PER_SECOND)
    assert log(crew, "none") == 0
    found = crew.worker().run_log.warehouses()
    assert [(row["warehouse"], row["resumes"], row["awake_seconds"]) for row in found] == [
        ("OTHER", 1, 61),
        ("WH", 3, 70 + 10 + 20 + 61 + 122),
    ]
    assert found[1]["credits"] == pytest.approx(283 * PER_SECOND)


def test_runs_are_charged_after_a_clock_was_set_back(crew: PostgresCrew) -> None:
    """A run of a clock that was days ahead does not make the runs of these days free."""
    ahead = (datetime.now(UTC) - START).total_seconds() + 3 * 86_400
    assert log(crew, "ahead", (ahead, 10)) == pytest.approx(70 * PER_SECOND)
    assert log(crew, "back", (0, 10)) == pytest.approx(70 * PER_SECOND)
    assert log(crew, "beside it", (2, 5)) == 0
    assert log(crew, "later", (500, 1)) == pytest.approx(61 * PER_SECOND)


def test_runs_that_are_recorded_together_share_their_time_too(crew: PostgresCrew) -> None:
    """Two runs side by side in one record: their common seconds are billed once, and charged to the longer one."""
    worker, done = crew.worker(), []
    for table, seconds in (("short", 5.0), ("long", 10.0)):
        claim = take(worker, table)
        sent = (SentStatement("MERGE", "q", START, seconds, 1, warehouse=True),)
        done.append((claim, report(claim, statements=sent, warehouse_seconds=seconds)))
    charged = worker.run_log.finish(done, cost=COST, warehouse="WH")
    assert charged == {"short": 0, "long": pytest.approx(70 * PER_SECOND)}
    assert [row["awake_seconds"] for row in worker.run_log.warehouses()] == [70]


def test_a_warehouse_that_costs_more_than_its_size_says_is_charged_as_configured(crew: PostgresCrew) -> None:
    """`credits_per_hour` replaces the credits of the size."""
    worker = crew.worker()
    claim = take(worker, "t")
    sent = (SentStatement("MERGE", "q", START, 10.0, 1, warehouse=True),)
    cost = COST.model_copy(update={"credits_per_hour": 2.7})
    charged = worker.run_log.finish([(claim, report(claim, statements=sent))], cost=cost, warehouse="WH")
    assert charged == {"t": pytest.approx(70 * 2.7 / 3600)}
    assert Warehouse.from_config(cost).credits_of_wake(10) == pytest.approx(70 * 2.7 / 3600)


def test_workers_that_record_at_the_same_time_share_one_sum(crew: PostgresCrew) -> None:
    """However records interleave, the credits of all runs are those of the warehouse, and none waits forever."""
    tables = [f"t{number}" for number in range(12)]

    def one(number: int) -> float:
        return log(crew, tables[number], (number * 7 % 40, 5), (number * 7 % 40 + 3, 20))

    with ThreadPoolExecutor(4) as pool:
        credits = sum(pool.map(one, range(len(tables))))
    [found] = crew.worker().run_log.warehouses()
    assert found["credits"] == pytest.approx(credits)
    assert found["resumes"] == 1
    assert found["awake_seconds"] == pytest.approx(37 + 3 + 20 + 60)


@pytest.mark.parametrize("setting", ["enable_hashjoin", "enable_mergejoin"])
def test_a_record_locks_the_warehouse_before_its_table_however_it_is_planned(
    crew: PostgresCrew, setting: str
) -> None:
    """The planner joins in an order of its own. A record that waited for the warehouse with its table locked could
    deadlock with a tick that locks all tables, by which a run that has loaded everything would end as failed."""
    log(crew, "t", (0, 10))
    [(database,)] = crew.sql("select current_database()")
    crew.sql(f"alter database {database} set enable_hashjoin = off")
    crew.sql(f"alter database {database} set {setting} = off")
    schema = sql.Identifier(crew.schema)
    waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(crew.dsn) as other:
        worker = crew.worker()
        claim = take(worker, "t")
        other.execute(sql.SQL("select from {}.sync_watermarks for update").format(schema))
        sent = SentStatement("MERGE", "q", START, 20, 1, warehouse=True)
        done = pool.submit(
            worker.run_log.finish, [(claim, report(claim, statements=(sent,)))], cost=COST, warehouse="WH"
        )
        wait_until(lambda: bool(crew.sql(waiting)), "the record waits for the table")
        free = crew.sql("select 1 from sync_warehouses for update skip locked")
        other.rollback()
        assert done.result() == {"t": pytest.approx(10 * PER_SECOND)}
    assert free == []
