"""Ticks over many idle tables: `python -m benchmarks.idle_tables [TABLES …]`, by default 1, 10, 100 and 1,000.

Prints for each number the median seconds of a tick in a warm engine, its CPU seconds, the largest number of connections
to the source at the same time (sampled every 5 ms), and the logins and statements that the emulator counted.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Figures
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine

TICKS = 9
LOOK_SECONDS = 0.005
OPEN = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""


class OpenConnections:
    """Largest number of connections to a database at the same time within the block, without this object's own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most = 0

    def __enter__(self) -> OpenConnections:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            while not self._done.wait(LOOK_SECONDS):
                row = conn.execute(OPEN).fetchone()
                self.most = max(self.most, row[0] if row else 0)


def tables(count: int) -> list[dict[str, str]]:
    return [
        {"source": f"public.t{n}", "target": f"analytics.t{n}", "pk": "id", "watermark_column": "updated_at"}
        for n in range(count)
    ]


def make_tables(dsn: str, count: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for n in range(count):
            conn.execute(
                f"create table t{n} (id bigint primary key, name text, updated_at timestamptz not null default now());"
                f"insert into t{n} (id, name) values (1, 'n');"
                f"create index on t{n} (updated_at)"
            )
        conn.execute("analyze")


def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = stack.env()
        make_tables(env["POSTGRES_DSN"], count)
        config = parse_config({"tables": tables(count)}, file="benchmark", env={})
        with Engine(config, Settings.from_env(env)) as engine:
            began = time.monotonic()
            first = engine.tick()
            first_seconds = time.monotonic() - began
            if first.failures:
                raise SystemExit(first.failures[0].error or "failed")
            logins, said = stack.snowflake.connections(), last_number(stack)
            with OpenConnections(env["POSTGRES_DSN"]) as opened:
                seconds, cpu = zip(*[idle_tick(engine) for _ in range(TICKS)], strict=True)
            found = {
                "snowflake_logins": stack.snowflake.connections() - logins,
                "snowflake_statements": last_number(stack) - said,
            }
    return {
        "tables": count,
        "first_seconds": first_seconds,
        "median_seconds": statistics.median(seconds),
        "median_cpu": statistics.median(cpu),
        "postgres_connections": opened.most,
        **found,
    }


def last_number(stack: Stack) -> int:
    """Number of the newest statement since the emulator's start."""
    return stack.snowflake.noted()


def idle_tick(engine: Engine) -> tuple[float, float]:
    """Seconds and CPU seconds of a tick in which every table must be idle."""
    began, used = time.monotonic(), time.process_time()
    report = engine.tick()
    took, used = time.monotonic() - began, time.process_time() - used
    if any(table.status.value != "idle" for table in report.tables):
        raise SystemExit("a table was not idle")
    return took, used


def main(counts: list[int]) -> None:
    figures = Figures()
    figures.forget({"idle"})
    for count in counts:
        figures.add("idle", **measure(count))


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1, 10, 100, 1_000])
