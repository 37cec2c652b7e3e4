"""Measures the cost of noticing deleted rows: `python -m benchmarks.delete_counters [TABLES …]`, by default 100.

The counters come with the fingerprints of all tables, in one statement. Prints for each number of tables the least and
the median milliseconds of that statement without and with them, and of the rule that decides about all tables. Every
second table is one of two partitions.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Figures
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.claim import Claim
from pgsnow.model.comparison.sweep import SweepState
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import CatalogMark, SourceName
from pgsnow.postgres.catalog.describe import catalog_marks
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.sync.runtime.planner import Planner
from pgsnow.sync.table.inspect import look_for_sweep

ROUNDS = 30


def make_tables(conn: psycopg.Connection[Any], count: int) -> None:
    for n in range(count):
        parts = " partition by hash (id)" if n % 2 else ""
        conn.execute(f"create table t{n} (id bigint primary key, name text){parts}".encode())
        for part in range(2 * (n % 2)):
            conn.execute(
                f"create table t{n}_{part} partition of t{n} for values with (modulus 2, remainder {part})".encode()
            )
        conn.execute(f"insert into t{n} select g, 'n' from generate_series(1, 20) g".encode())
        conn.execute(f"delete from t{n} where id = 3".encode())


def timed(action: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def rule(conn: psycopg.Connection[Any], marks: dict[SourceName, CatalogMark]) -> Callable[[], Any]:
    """Decides about all tables, none of which is due."""
    entries = [{"source": str(n), "target": f"s.{n.table}", "mode": "xmin", "deletes": "hard"} for n in marks]
    config = parse_config({"tables": entries}, file="benchmark", env={})
    env = dict.fromkeys(("ACCOUNT", "USER", "PASSWORD", "WAREHOUSE", "DATABASE"), "none")
    settings = Settings.from_env(
        {"POSTGRES_DSN": "postgresql://", **{f"SNOWFLAKE_{k}": v for k, v in env.items()}}
    )
    planner, (horizon, _) = Planner(settings.snowflake), take_horizon(conn)
    plans = [(planner.plan(conn, table, None).plan, marks[table.source]) for table in config.tables]
    checked = []
    for plan, mark in plans:
        state = SweepState(mark.leaves or {}, mark.statistics, swept_at=1.0)
        claim = Claim(plan.config.name, "r", "h", 1, None, sweep=asdict(state), granted_at=2.0)
        checked.append((claim, plan, mark, horizon))

    def decide() -> None:
        if any(look_for_sweep(*each)[2] is not None for each in checked):
            raise SystemExit("a table was due")

    return decide


def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "source")
        server.start()
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as conn:
                make_tables(conn, count)
                names = [SourceName("public", f"t{n}") for n in range(count)]
                decide = rule(conn, catalog_marks(conn, names))
                without, with_counters, rules = zip(
                    *(
                        (
                            timed(lambda: catalog_marks(conn, names, counters=False)),
                            timed(lambda: catalog_marks(conn, names)),
                            timed(decide),
                        )
                        for _ in range(ROUNDS)
                    ),
                    strict=True,
                )
        finally:
            server.stop()
    return {
        "tables": count,
        "least_ms_without": min(without),
        "least_ms_with": min(with_counters),
        "median_ms_without": statistics.median(without),
        "median_ms_with": statistics.median(with_counters),
        "least_ms_of_the_rule": min(rules),
    }


def main(counts: list[int]) -> None:
    figures = Figures()
    figures.forget({"delete_counters"})
    for count in counts:
        figures.add("delete_counters", **measure(count))


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [100])
