"""Measures one job with different numbers of workers:
`python -m benchmarks.workers [WORKERS …] [--tables N] [--rows N] [--large N]`.

`execution: distributed`: Celery workers in separate processes sync N tables and a large one, which is divided into
chunks. Each number of workers gets a new source, a new target and one tick; the time is measured from the tick's
message until everything is loaded. The CPU seconds of the workers, of Postgres and of the emulator are separate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery

from benchmarks.figures import Figures
from benchmarks.process_tree import cpu_of_tree, last_words, most_resident
from pgsnow.embedded.process import wait_for
from pgsnow.embedded.stack import DATABASE, Stack

BACKEND = Path(__file__).parent.parent / "backend"
TASK = "worker.sync.sync_postgres_to_snowflake"
SECONDS, LOOK_SECONDS = 1800.0, 0.1
TABLE = """
create table {name} (
  id bigint primary key, email text, name text, balance numeric(18,4), profile jsonb, updated_at timestamptz not null);
insert into {name}
select g, 'user' || g || '@example.com', 'Name ' || md5(g::text), (g % 100000) / 7.0,
       jsonb_build_object('n', g, 'city', 'City ' || g % 500), timestamptz '2024-06-01Z' + g * interval '1 second'
from generate_series(1::bigint, {rows}) g;
create index on {name} (updated_at);
"""
LOADED = "select count(*) from sync_watermarks where last_success is not null"
FAILED = "select source_table, error from sync_logs where status = 'failed' order by started_at limit 1"


class Worker:
    """`celery worker` with one process that prefetches no message."""

    def __init__(self, name: str, env: dict[str, str], folder: Path) -> None:
        self.log = folder / f"{name}.log"
        options = ["-n", name, "-l", "INFO", "-P", "solo", "--prefetch-multiplier", "1"]
        options += ["--without-mingle", "--without-gossip"]
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker.celery_app", "worker", *options],
                cwd=BACKEND, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> None:
        """Wait until it accepts messages."""
        ready = wait_for(lambda: "ready." in self.log.read_text() or self._process.poll() is not None, 60)
        if not ready or self._process.poll() is not None:
            raise SystemExit(last_words(self.log))

    def took(self, event: str) -> int:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{")]
        return sum(json.loads(line)["event"] == event for line in lines)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def configuration(names: Sequence[str], workers: int) -> dict[str, Any]:
    tables: list[dict[str, Any]] = [
        {"source": f"public.{n}", "target": f"analytics.{n}", "watermark_column": "updated_at"} for n in names
    ]
    tables[0] |= {"max_mb_per_chunk": 8, "max_parallel_chunks": workers}
    return {"execution": "distributed", "sync_interval_seconds": int(SECONDS), "tables": tables}


def fill(dsn: str, tables: dict[str, int]) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name, rows in tables.items():
            for statement in TABLE.format(name=name, rows=rows).split(";\n"):
                if statement.strip():
                    conn.execute(statement.encode())
        conn.execute("vacuum (freeze, analyze)")


@contextmanager
def started(count: int, stack: Stack, names: Sequence[str]) -> Iterator[list[Worker]]:
    """This number of workers, ready for messages."""
    config = stack.dir / "sync_config.yaml"
    config.write_text(json.dumps(configuration(names, count)))
    env = {**os.environ, **stack.env(), "SYNC_CONFIG": str(config)}
    with ExitStack() as ends:
        workers = [Worker(f"worker{number}", env, stack.dir) for number in range(count)]
        for worker in workers:
            ends.callback(worker.end)
        for worker in workers:
            worker.wait()
        yield workers


def measure(count: int, tables: dict[str, int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Stack(folder / "stack", broker=True) as stack:
            dsn = stack.postgres.dsn(DATABASE)
            fill(dsn, tables)
            with started(count, stack, list(tables)) as workers:
                return one_tick(stack, dsn, workers, len(tables))


def one_tick(stack: Stack, dsn: str, workers: Sequence[Worker], tables: int) -> dict[str, Any]:
    watched = {
        "workers_cpu": [worker.pid for worker in workers],
        "postgres_cpu": [stack.postgres.pid or 0],
        "emulator_cpu": [stack.snowflake.pid or 0],
    }
    before = {part: sum(map(cpu_of_tree, pids)) for part, pids in watched.items()}
    began = time.monotonic()
    with Celery(broker=stack.broker.url) as client:
        client.send_task(TASK)
    await_all(dsn, tables)
    took = time.monotonic() - began
    return {
        "workers": len(workers),
        "seconds": took,
        **{part: sum(map(cpu_of_tree, pids)) - before[part] for part, pids in watched.items()},
        "rss_mb": max(most_resident(worker.pid) for worker in workers) / 2**20,
        "tables_taken": [worker.took("table taken") for worker in workers],
        "chunks_taken": [worker.took("chunk taken") for worker in workers],
    }


def await_all(dsn: str, tables: int) -> None:
    """Wait until every table is loaded. Ends the benchmark if one fails."""
    with psycopg.connect(dsn, autocommit=True) as conn:

        def done() -> bool:
            if conn.execute("select to_regclass('sync_logs')").fetchone() == (None,):
                return False
            if failed := conn.execute(FAILED).fetchone():
                raise SystemExit(f"{failed[0]}: {failed[1]}")
            return conn.execute(LOADED).fetchone() == (tables,)

        if not wait_for(done, SECONDS, pause=LOOK_SECONDS):
            raise SystemExit(f"not loaded after {SECONDS:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--tables", type=int, default=12)
    parser.add_argument("--rows", type=int, default=100_000, help="of each table")
    parser.add_argument("--large", type=int, default=1_000_000, help="rows of the large table")
    chosen = parser.parse_args()
    tables = {"large": chosen.large, **{f"small_{number}": chosen.rows for number in range(chosen.tables)}}
    figures = Figures()
    figures.forget({"workers"})
    for count in chosen.workers:
        found = measure(count, tables)
        figures.add("workers", tables=chosen.tables, rows=chosen.rows, large=chosen.large, **found)


if __name__ == "__main__":
    main()
