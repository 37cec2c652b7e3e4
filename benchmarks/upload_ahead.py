"""Measures the effect of early uploads: `python -m benchmarks.upload_ahead [--rows 1000000] [--mb-per-s 10]`.

A first load through a bucket (moto on this machine) behind a proxy that limits the rate in megabytes per second, one
connection at a time: without early uploads, with parts of one size, and with the default. Each runs in its own process.
Prints wall and CPU seconds of that process, its peak memory in MB, and the seconds of its phases.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.first_load import CONFIG, TABLE
from benchmarks.staging import store

WAYS = ("at the end", "ahead, parts of 128 MB", "ahead")


def child(way: str) -> None:
    """The measured process: one tick."""
    from pgsnow.config.load import load_config, load_settings
    from pgsnow.snowflake.stage import bucket
    from pgsnow.sync.engine import Engine
    from pgsnow.sync.load.early_upload import EarlyUploader
    from pgsnow.sync.pipeline import parquet

    bucket.UPLOAD_THREADS = 1
    if way != "ahead":
        parquet.FIRST_PART_BYTES = parquet.PART_BYTES
    if way == "at the end":
        EarlyUploader.send = lambda *_: None  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sync_config.yaml"
        path.write_text(CONFIG + "    load: s3\n")
        config, settings = load_config(path), load_settings()
    began = time.monotonic()
    with Engine(config, settings) as engine:
        report = engine.tick()
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")
    (table,), used = report.tables, resource.getrusage(resource.RUSAGE_SELF)
    phases = {name: round(table.phases.get(name, 0), 1) for name in ("read", "write", "put", "copy", "merge")}
    print(
        json.dumps(
            {
                "way": way,
                "seconds": round(time.monotonic() - began, 1),
                "cpu": round(used.ru_utime + used.ru_stime, 1),
                "peak_mb": round(used.ru_maxrss / 1024),
                "staged_mb": round(table.bytes_staged / 1e6),
                "rows": table.rows_processed,
                **phases,
            }
        )
    )


def forget() -> None:
    """Drop the target and the ledger, so that the next tick is a first load again."""
    with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as conn:
        conn.execute(
            "drop table if exists sync_watermarks, sync_errors, sync_logs, sync_horizon, pgsnow_migrations,"
            " sync_backfills, sync_chunks, sync_staged cascade"
        )


def main() -> None:
    from pgsnow.embedded.stack import Stack
    from pgsnow.testing.proxy import FaultProxy

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--mb-per-s", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with tempfile.TemporaryDirectory() as folder, store() as s3, Stack(Path(folder)) as stack:
        stack.snowflake.read_buckets_at(s3["S3_ENDPOINT_URL"])
        os.environ.update(stack.env() | s3)
        with psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True) as conn:
            for statement in filter(str.strip, TABLE.format(rows=chosen.rows).split(";")):
                conn.execute(statement)
        with FaultProxy(int(s3["S3_ENDPOINT_URL"].rpartition(":")[2])) as proxy:
            proxy.behave(rate=chosen.mb_per_s * 1e6)
            os.environ["S3_ENDPOINT_URL"] = f"http://127.0.0.1:{proxy.port}"
            for way in WAYS * chosen.rounds:
                forget()
                argv = [sys.executable, "-m", "benchmarks.upload_ahead", "--child", way]
                done = subprocess.run(argv, capture_output=True, text=True)
                print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        main()
