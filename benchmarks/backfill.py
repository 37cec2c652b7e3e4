"""A first load in chunks that is killed (-9) again and again: `python -m benchmarks.backfill 1000000 --kills 5`.

Prints how often it was killed, seconds in all, peak memory of the largest process, the number of chunks, how many of
them were read more than once, and whether source and target are equal at the end. `--kills 0` and `--chunk-mb` measure
the cost of chunks, `--parallel` the effect of loading several at once: seconds, CPU seconds of the ticks (user and
system), and memory. With `--resync` the table is loaded first, and a resync of it is measured, while a reader queries
the target all the time.
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
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.first_load import TABLE

MB_A_SECOND = 40
"""Rough rate at which a chunk is loaded, from which the moment of a kill within a chunk is chosen."""


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


def child(config: str, resync: bool) -> None:
    """One tick."""
    from pgsnow.config.load import load_config, load_settings
    from pgsnow.sync.engine import Engine

    with Engine(load_config(Path(config)), load_settings()) as engine:
        report = engine.tick(resync=resync)
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill -9 a number of seconds after a number of chunks are done."""

    chunks: int
    seconds: float


def run(config: Path, kill: Kill | None, *, resync: bool = False) -> bool:
    """Run one tick in its own process; True if it was killed before its end. resync: begin a resync."""
    command = [sys.executable, "-m", "benchmarks.backfill", "--child", str(config)]
    before = newest_backfill()
    process = subprocess.Popen([*command, *(["--resync"] if resync else [])])
    while kill is not None and process.poll() is None:
        if done_chunks() >= kill.chunks and not (resync and newest_backfill() == before):
            time.sleep(kill.seconds)
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"the tick ended with {code}")
    return code != 0


def done_chunks() -> int:
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        if conn.execute("select to_regclass('sync_chunks')").fetchone() == (None,):
            return 0
        row = conn.execute("select count(*) from sync_chunks where state = 'done'").fetchone()
        return int(row[0]) if row else 0


def newest_backfill() -> int | None:
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        if conn.execute("select to_regclass('sync_backfills')").fetchone() == (None,):
            return None
        row = conn.execute("select max(id) from sync_backfills").fetchone()
        return row[0] if row else None


@contextmanager
def reader(seen: set[tuple[int, int]]) -> Iterator[None]:
    """Query the target's number of rows and the sum of their ids, all the time."""
    from pgsnow.config.load import load_settings
    from pgsnow.snowflake.session import connect

    done = threading.Event()

    def look() -> None:
        with connect(load_settings().snowflake, query_tag="reader") as session:
            while not done.wait(0.1):
                ((rows, total),) = session.execute("select count(*), sum(id) from analytics.users").rows
                seen.add((int(rows), round(total or 0)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def resynced(config: Path, points: list[Kill], rows: int) -> Mapping[str, Any]:
    """Delete every other row of the target, and resync it: readers must see only the content before and after."""
    from pgsnow.config.load import load_settings
    from pgsnow.snowflake.session import connect

    run(config, None)
    with connect(load_settings().snowflake, query_tag="benchmark") as session:
        session.execute("delete from analytics.users where id % 2 = 0")
        ((half, odd),) = session.execute("select count(*), sum(id) from analytics.users").rows
    seen: set[tuple[int, int]] = set()
    began = time.monotonic()
    with reader(seen):
        killed = sum(run(config, point, resync=at == 0) for at, point in enumerate([*points, None]))
    whole = (rows, rows * (rows + 1) // 2)
    return {
        "killed": killed,
        "seconds": round(time.monotonic() - began, 1),
        "contents_seen": len(seen),
        "whole_to_readers": seen <= {(int(half), round(odd)), whole},
    }


def measure(
    rows: int, kills: int, chunk_mb: float, parallel: int, seed: int, *, resync: bool = False
) -> Mapping[str, Any]:
    rnd = random.Random(seed)
    with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as conn:
        for statement in filter(str.strip, TABLE.format(rows=rows).split(";")):
            conn.execute(statement)
        size = conn.execute("select pg_table_size('users')").fetchone()
    expected = max(1, int((size or (0,))[0] / (chunk_mb * 1024 * 1024)))
    moments = sorted(rnd.sample(range(1, max(kills + 1, expected)), kills))
    points = [Kill(chunk, rnd.uniform(0, chunk_mb / MB_A_SECOND)) for chunk in moments]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sync_config.yaml"
        config.write_text(config_text(chunk_mb, parallel))
        told = resynced(config, points, rows) if resync else loaded(config, points)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "rows": rows,
            "parallel": parallel,
            **told,
            **chunks(),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": round(used.ru_maxrss / 1024),
            "equal": is_equal(),
        }


def loaded(config: Path, points: list[Kill]) -> Mapping[str, Any]:
    began = time.monotonic()
    killed = sum(run(config, point) for point in [*points, None])
    return {"killed": killed, "seconds": round(time.monotonic() - began, 1)}


def chunks() -> dict[str, int]:
    with psycopg.connect(os.environ["POSTGRES_DSN"]) as conn:
        row = conn.execute("select count(*), coalesce(sum(attempts - 1), 0) from sync_chunks").fetchone()
    return {"chunks": int(row[0]), "read_again": int(row[1])} if row else {}


def is_equal() -> bool:
    """True if both sides have the same number of rows and the same sums."""
    from pgsnow.config.load import load_settings
    from pgsnow.snowflake.session import connect

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
    parser.add_argument("--resync", action="store_true")
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        child(given.child, given.resync)
        return 0
    from pgsnow.embedded.stack import Stack

    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        os.environ.update(stack.env())
        result = measure(
            given.rows, given.kills, given.chunk_mb, given.parallel, given.seed, resync=given.resync
        )
    print(json.dumps(result))
    good = result["equal"] and result.get("whole_to_readers", True)
    return 0 if good and result["read_again"] <= given.kills * given.parallel else 1


if __name__ == "__main__":
    sys.exit(main())
