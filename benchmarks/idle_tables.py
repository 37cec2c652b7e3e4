"""Ticks over many idle tables: `python -m benchmarks.idle_tables [TABLES]`. Prints the median seconds of a tick in a
warm engine, the statements sent to the source and the ledger, and the logins that the emulator counted meanwhile."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from pgsnow.embedded.stack import Stack
from pgsnow.model.config import parse_config
from pgsnow.model.settings import Settings
from pgsnow.sync.engine import Engine

TICKS = 9


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
                f"insert into t{n} select g, 'n' || g from generate_series(1, 10) g;"
                f"create index on t{n} (updated_at)"
            )
        conn.execute("analyze")


def main(count: int = 100) -> None:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = stack.env()
        make_tables(env["POSTGRES_DSN"], count)
        config = parse_config({"tables": tables(count)}, file="benchmark", env={})
        with Engine(config, Settings.from_env(env)) as engine:
            first = engine.tick()
            if first.failures:
                raise SystemExit(first.failures[0].error or "failed")
            logins = stack.snowflake.connections()
            seconds = []
            for _ in range(TICKS):
                began = time.monotonic()
                report = engine.tick()
                seconds.append(time.monotonic() - began)
                if any(table.status.value != "idle" for table in report.tables):
                    raise SystemExit("a table was not idle")
            print(
                json.dumps(
                    {
                        "tables": count,
                        "median_seconds": round(statistics.median(seconds), 3),
                        "snowflake_logins": stack.snowflake.connections() - logins,
                    }
                )
            )


if __name__ == "__main__":
    main(*[int(a) for a in sys.argv[1:]])
