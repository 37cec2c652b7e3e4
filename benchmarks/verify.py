"""Time, statements and memory of `pgsnow verify`, equal tables on the emulator: `python -m benchmarks.verify 1000000`.

Each table is compared in a process of its own, which reports its peak resident memory (getrusage). `mixed` has twenty
columns of mixed types, `documents` one more, of type jsonb, and `narrow` four, for tables of many rows. CPU seconds are
those of the emulator, of Postgres and of the process; on a busy machine they tell more than the time.
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
from typing import Any

import psycopg

from benchmarks.figures import Figures

MIXED = """
create table {table} (
  id bigint primary key, account int not null, kind smallint, balance numeric(14,2), rate numeric(8,4),
  total numeric(30,6), score double precision, weight real, active boolean, paid boolean, external_id uuid not null,
  parent_id uuid, name text, email text not null, note text, country varchar(2), born date, seen timestamp,
  created_at timestamptz not null, updated_at timestamptz not null{more});
insert into {table}
select g, (g * 31 % 1000000)::int, (g % 12)::smallint, ((g * 7919) % 100000000)::numeric / 100,
       (g % 60000)::numeric / 7, g * 1234567.000123, sqrt(g), (g % 1000) / 7.0::real, g % 3 = 0, g % 5 = 0,
       md5(g::text)::uuid, case when g % 4 > 0 then md5((g / 4)::text)::uuid end, 'Name ' || md5((g * 7)::text),
       'user' || g || '@example.com', case when g % 3 = 0 then repeat('note ' || g, 3) end,
       (array['de', 'fr', 'it', 'us'])[1 + g % 4], date '1950-01-01' + (g % 20000)::int,
       timestamp '2024-01-01' + g * interval '10.5 seconds',
       timestamptz '2024-01-01Z' + g * interval '10.000001 seconds',
       timestamptz '2024-06-01Z' + g * interval '1 second'{values}
from generate_series(1::bigint, {rows}) g;
analyze {table}
"""
NARROW = """
create table narrow (id bigint primary key, owner uuid not null, amount numeric(12,2), updated_at timestamptz not null);
insert into narrow select g, md5(g::text)::uuid, (g % 100000) / 7.0, timestamptz '2024-06-01Z' + g * interval '1 second'
from generate_series(1::bigint, {rows}) g;
analyze narrow
"""
DOCUMENT = (
    ",\n jsonb_build_object('plan', 'p' || g % 3, 'n', g, 'city', 'City ' || g % 500, 'score', g * 0.25)"
)
TABLES = {
    "mixed": MIXED.format(table="mixed", more="", values="", rows="{rows}"),
    "documents": MIXED.format(table="documents", more=", profile jsonb", values=DOCUMENT, rows="{rows}"),
    "narrow": NARROW,
}


def measure(table: str, rows: int) -> dict[str, Any]:
    """Load the table and verify it: seconds, peak MB, statements to Snowflake, ranges, CPU seconds by process."""
    from pgsnow.embedded.stack import Stack

    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = {**os.environ, **stack.env()}
        with psycopg.connect(env["POSTGRES_DSN"], autocommit=True) as conn:
            for statement in TABLES[table].format(rows=rows).split(";\n"):
                conn.execute(statement.encode())
        _child(env, "--load", table)
        before = _cpu(folder)
        found = _child(env, "--verify", table)
        used = {name: round(seconds - before[name], 1) for name, seconds in _cpu(folder).items()}
    return {"table": table, "rows": rows, **found, **used}


def _child(env: dict[str, str], *arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "benchmarks.verify", *arguments]
    out = subprocess.run(argv, env=env, capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(out.stderr)
    answer: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return answer


def _cpu(folder: str) -> dict[str, float]:
    """CPU seconds so far of the emulator, and of Postgres with its sessions, ended ones too."""
    found = {"emulator_cpu": 0.0, "postgres_cpu": 0.0}
    tick = os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            times = (process / "stat").read_text().rpartition(")")[2].split()
            parent = Path(f"/proc/{times[1]}/cmdline").read_text()
        except OSError:
            continue
        server = f"{folder}/postgres"
        if folder in command and "pgsnow.embedded.snowflake" in command:
            found["emulator_cpu"] += sum(map(int, times[11:13])) / tick
        elif server in command and "bin/postgres" in command:
            found["postgres_cpu"] += sum(map(int, times[11:15])) / tick
        elif server in parent and "bin/postgres" in parent:
            found["postgres_cpu"] += sum(map(int, times[11:13])) / tick
    return found


def child(action: str, table: str) -> None:
    """The measured process: one tick, or one comparison."""
    from pgsnow.config.load import load_settings
    from pgsnow.model.config.sync_config import parse_config
    from pgsnow.operations.verify.verify import verify
    from pgsnow.sync.engine import Engine

    entry = {"source": f"public.{table}", "target": f"analytics.{table}", "mode": "xmin"}
    config = parse_config({"tables": [entry]}, file="sync_config.yaml", env={})
    with Engine(config, load_settings()) as engine:
        if action == "--load":
            report = engine.tick()
            if report.failures:
                raise SystemExit(report.failures[0].error or "failed")
            print(json.dumps({}))
            return
        began = time.monotonic()
        (verdict,) = verify(engine)
        seconds = time.monotonic() - began
    if not verdict.equal:
        raise SystemExit(f"different: {verdict.error or verdict.counts}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "cpu": round(usage.ru_utime + usage.ru_stime, 1),
                "peak_mb": round(usage.ru_maxrss / 1024, 1),
                "statements": verdict.statements,
                "ranges": verdict.ranges,
            }
        )
    )


def main() -> None:
    if sys.argv[1] in ("--load", "--verify"):
        child(sys.argv[1], sys.argv[2])
        return
    names = [name for name in sys.argv[1:] if name in TABLES] or ["mixed", "documents"]
    figures = Figures()
    for rows in (int(word) for word in sys.argv[1:] if word.isdigit()):
        for name in names:
            figures.add("verify", **measure(name, rows))


if __name__ == "__main__":
    main()
