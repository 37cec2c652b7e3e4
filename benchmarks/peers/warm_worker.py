"""A worker's process: `python -m benchmarks.peers.warm_worker sync_config.yaml`. It syncs a small table once, then the
users' table whenever it reads a line, and answers with a line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psycopg

from pgsnow.config.load import load_config, load_settings
from pgsnow.model.report import SyncReport
from pgsnow.sync.engine import Engine

WARMING = """
drop table if exists warming;
create table warming (id bigint primary key, name text, updated_at timestamptz not null default now());
insert into warming select g, 'n' || g from generate_series(1, 100) g
"""


def main(config: Path) -> None:
    with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as conn:
        conn.execute(WARMING)
    with Engine(load_config(config), load_settings()) as engine:
        tick(engine, "public.warming")
        answer({})
        for _ in sys.stdin:
            began, used = time.monotonic(), time.process_time()
            report = tick(engine, "public.users")
            (table,) = report.tables
            answer(
                {
                    "wall": time.monotonic() - began,
                    "cpu": time.process_time() - used,
                    "phases": {name: round(seconds, 3) for name, seconds in table.phases.items()},
                    "rows": table.rows_processed,
                }
            )


def tick(engine: Engine, table: str) -> SyncReport:
    report = engine.tick([table])
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")
    return report


def answer(told: dict[str, object]) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
