"""Peak memory and time of a first load, by the number of rows: `python -m benchmarks.first_load 1000000 5000000`.

Each size runs in its own process, which reports its peak resident memory (getrusage). Rows have nine columns of the
types that cost most: uuid, text, numeric, jsonb, text[], timestamptz.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.figures import Figures

CONFIG = """
tables:
  - source: public.users
    target: analytics.users
    pk: id
    watermark_column: updated_at
"""
TABLE = """
create table users (
  id bigint primary key, external_id uuid not null, name text not null, email text, balance numeric(14,2),
  profile jsonb, tags text[], active boolean, updated_at timestamptz not null);
insert into users
select g, md5(g::text)::uuid, 'user ' || g, 'u' || g || '@example.com', (g % 100000)::numeric / 7,
       jsonb_build_object('n', g, 'city', 'c' || g % 500, 'score', g * 0.25),
       array['t' || g % 10, 't' || g % 7], g % 3 = 0, now() - interval '1 day' + g * interval '1 microsecond'
from generate_series(1, {rows}) g;
create index on users (updated_at);
analyze users
"""


def measure(rows: int) -> dict[str, float]:
    """One first load of `rows` rows in a new process, into a target that does not exist yet: seconds, peak MB, rows
    loaded."""
    from pgsnow.embedded.stack import Stack

    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = stack.env()
        with psycopg.connect(env["POSTGRES_DSN"], autocommit=True) as conn:
            for statement in TABLE.format(rows=rows).split(";"):
                conn.execute(statement.encode())
        argv = [sys.executable, "-m", "benchmarks.first_load", "--child"]
        out = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(out.stderr)
    return {"rows": rows, **json.loads(out.stdout.splitlines()[-1])}


def child() -> None:
    """The measured process: one tick."""
    from pgsnow.config.load import load_config, load_settings
    from pgsnow.sync.engine import Engine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sync_config.yaml"
        path.write_text(CONFIG)
        config, settings = load_config(path), load_settings()
    began = time.monotonic()
    with Engine(config, settings) as engine:
        report = engine.tick()
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - began, 2),
                "peak_mb": round(peak, 1),
                "loaded": report.tables[0].rows_processed,
                "phases": report.tables[0].phases,
            }
        )
    )


def main(sizes: list[int]) -> int:
    results = [measure(rows) for rows in sizes]
    figures = Figures()
    figures.forget({"rows"})
    for result in results:
        figures.add("rows", **result)
    low, high = min(r["peak_mb"] for r in results), max(r["peak_mb"] for r in results)
    print(f"peak memory: {low:.0f} to {high:.0f} MB, ratio {high / low:.2f}")
    return 0 if high / low <= 1.2 and high < 400 else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        child()
    else:
        sys.exit(main([int(a) for a in sys.argv[1:]] or [1_000_000, 5_000_000]))
