"""Measures the cost of reading a few changed rows:
`python -m benchmarks.small_read [--rows N] [--changed N] [--beside N]`.

Before each round `changed` rows of the wide table are updated; then horizon, read and part files are measured on warm
connections. Prints medians in milliseconds, wall and CPU of the client; then the same for a database with `beside`
other tables.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.read_half import server
from benchmarks.read_ways import Dsn, cpu, read_to_files
from benchmarks.tables import make, plan_of
from pgsnow.postgres.connection import Source

ROUNDS = 25


def measure(dsn: str, changed: int, rounds: int = ROUNDS) -> dict[str, float]:
    source = Source(Dsn(dsn))
    took, used = [], []
    with source.connect() as conn, tempfile.TemporaryDirectory() as folder:
        plan = plan_of(conn, "wide")
        checkpoint = read_to_files(source, conn, plan, Path(folder))["checkpoint"]
        for number in range(rounds):
            low = 1 + number * changed
            conn.execute(
                "update wide set updated_at = now() where id >= %s and id < %s", [low, low + changed]
            )
            began, before = time.monotonic(), cpu()
            told = read_to_files(source, conn, plan, Path(folder), checkpoint)
            took.append(time.monotonic() - began)
            used.append(cpu() - before)
            checkpoint = told["checkpoint"]
            if told["rows"] != changed:
                raise SystemExit(f"{told['rows']} rows instead of {changed}")
    source.close()
    return {"wall_ms": 1000 * statistics.median(took), "client_cpu_ms": 1000 * statistics.median(used)}


def add_tables(conn: psycopg.Connection, count: int) -> None:
    for number in range(count):
        conn.execute(
            f"create table beside_{number} (id bigint primary key, name text, updated_at timestamptz)"
        )
    conn.execute("analyze")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=500)
    parser.add_argument("--beside", type=int, default=2_000)
    chosen = parser.parse_args()
    with server() as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            make(conn, "wide", chosen.rows)
        show(f"{chosen.changed} of {chosen.rows:,} rows", measure(dsn, chosen.changed))
        with psycopg.connect(dsn, autocommit=True) as conn:
            add_tables(conn, chosen.beside)
        show(f"the same beside {chosen.beside:,} tables", measure(dsn, chosen.changed))


def show(what: str, found: dict[str, float]) -> None:
    print(f"{what}: {', '.join(f'{name} {value:.1f}' for name, value in found.items())}", flush=True)


if __name__ == "__main__":
    main()
