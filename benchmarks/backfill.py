"""A first load in chunks that is killed (-9) again and again: `python -m benchmarks.backfill 1000000 --kills 5`.

Tells seconds in all, peak memory of the largest process, chunks, how many of them were read more than once, and whether
source and target are equal at the end. With `--kills 0` and `--chunk-mb` it shows what chunks cost, with `--parallel`
what it is worth to load several at once: seconds, CPU seconds of the ticks (user and system), and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.first_load import TABLE


def config_text(chunk_mb: float, parallel: int) -> str:
    table = {
        "source": "public.users",
        "target": "analytics.users",
        "pk": "id",
        "watermark_column": "updated_at",
        "max_mb_per_chunk": chunk_mb,
        "max_parallel_chunks": parallel,
    }
    return json.dumps({"tables": [table]})


def child(config: str) -> None:
    """One tick. Ready once its imports are done."""
    from pgsnow.sync.engine import Engine
    from pgsnow.sync.setup import load_config, load_settings

    with Engine(load_config(Path(config)), load_settings()) as engine:
        report = engine.tick()
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")


def run(config: Path, kill_at_chunk: int | None) -> None:
    """One tick in its own process, killed as soon as so many chunks are done in all (None: not at all)."""
    command = [sys.executable, "-m", "benchmarks.backfill", "--child", str(config)]
    process = subprocess.Popen(command)
    while kill_at_chunk is not None and process.poll() is None:
        if done_chunks() >= kill_at_chunk:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"the tick ended with {code}")


def done_chunks() -> int:
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        if conn.execute("select to_regclass('sync_chunks')").fetchone() == (None,):
            return 0
        row = conn.execute("select count(*) from sync_chunks where state = 'done'").fetchone()
        return int(row[0]) if row else 0


def measure(rows: int, kills: int, chunk_mb: float, parallel: int, seed: int) -> Mapping[str, Any]:
    rnd = random.Random(seed)
    with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as conn:
        for statement in filter(str.strip, TABLE.format(rows=rows).split(";")):
            conn.execute(statement)
        size = conn.execute("select pg_table_size('users')").fetchone()
    expected = max(1, int((size or (0,))[0] / (chunk_mb * 1024 * 1024)))
    points = sorted(rnd.sample(range(1, max(kills + 1, expected)), kills))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sync_config.yaml"
        config.write_text(config_text(chunk_mb, parallel))
        began = time.monotonic()
        for point in [*points, None]:
            run(config, point)
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "rows": rows,
            "kills": kills,
            "parallel": parallel,
            "seconds": round(seconds, 1),
            **chunks(),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": round(used.ru_maxrss / 1024),
            "equal": is_equal(),
        }


def chunks() -> dict[str, int]:
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        row = conn.execute("select count(*), coalesce(sum(attempts - 1), 0) from sync_chunks").fetchone()
    return {"chunks": int(row[0]), "read_again": int(row[1])} if row else {}


def is_equal() -> bool:
    """As many rows with the same sums on both sides."""
    from pgsnow.snowflake.connection import connect
    from pgsnow.sync.setup import load_settings

    query = "select count(*), count(distinct id), sum(id), sum(balance), count(tags) from "
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        here = conn.execute(f"{query} users").fetchone() or ()
    with connect(load_settings().snowflake, query_tag="benchmark") as session:
        (there,) = session.execute(f"{query} analytics.users").rows
    return [round(value) for value in here] == [
        round(value) for value in there
    ]  # the emulator's sums are floats


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--chunk-mb", type=float, default=16.0)
    parser.add_argument("--parallel", type=int, default=1, help="chunks at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return 0
    from pgsnow.embedded.stack import Stack

    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        os.environ.update(stack.env())
        result = measure(given.rows, given.kills, given.chunk_mb, given.parallel, given.seed)
    print(json.dumps(result))
    return 0 if result["equal"] and result["read_again"] <= given.kills * given.parallel else 1


if __name__ == "__main__":
    sys.exit(main())
