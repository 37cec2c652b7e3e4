"""Measures how fast rows become part files:
`python -m benchmarks.read_half [--rows N] [--tables wide narrow] [--rounds N]`.

One server; each way in its own process, alternating. One connection, except for `threads` and `processes`, which read
two halves of the table over two. The floor is psql's `COPY … TO STDOUT (FORMAT binary)` into /dev/null; `decoder`
decodes the same rows as Arrow and discards them; `product` is a first read into finished Parquet files, without loading
them. Prints medians as Markdown. On a busy machine rely on the CPU seconds, not on wall-clock times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.read_halves import HALVES
from benchmarks.read_ways import WAYS
from benchmarks.tables import TABLES, make
from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres

SERVER = {**FAST_AND_FORGETFUL, "shared_buffers": "512MB", "max_parallel_workers_per_gather": "0"}
EACH = [*WAYS, *HALVES]
FIGURES = ("seconds", "client_cpu", "server_cpu", "rss_mb")


@contextmanager
def server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "postgres", config=SERVER) as running:
            yield running.dsn()


def measure(dsn: str, table: str, ways: Sequence[str], rounds: int) -> dict[str, dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way].append(once(dsn, table, way))
    return {way: {**runs[-1], **medians(runs)} for way, runs in found.items()}


def once(dsn: str, table: str, way: str) -> dict[str, Any]:
    module = "benchmarks.read_halves" if way in HALVES else "benchmarks.read_ways"
    asked = [sys.executable, "-m", module, way, dsn, table]
    out = subprocess.run(asked, capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(out.stderr)
    told: dict[str, Any] = json.loads(out.stdout)
    return told


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {figure: statistics.median(run[figure] for run in runs) for figure in FIGURES}


def show(table: str, rows: int, found: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{table}, {rows:,} rows\n")
    print(
        "| | wall, s | floor / wall | client CPU, s | server CPU, s | floor's server CPU / slower side's | RSS, MB |"
    )
    print("|---|---|---|---|---|---|---|")
    floor = found["floor"]
    for way, run in found.items():
        slower = max(run["client_cpu"], run["server_cpu"])
        rss = "–" if way == "floor" else f"{run['rss_mb']:.0f}"  # a child's peak begins with its parent's
        ratios = floor["seconds"] / run["seconds"], floor["server_cpu"] / slower
        print(
            f"| {way} | {run['seconds']:.2f} | {ratios[0]:.2f} | {run['client_cpu']:.2f} | {run['server_cpu']:.2f}"
            f" | {ratios[1]:.2f} | {rss} |"
        )
    if "phases" in found.get("product", {}):
        product = found["product"]
        print(f"\nThe product wrote {product['mb']} MB; seconds by phase: {product['phases']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--ways", nargs="+", choices=EACH, default=EACH)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with server() as dsn:
        for table in chosen.tables:
            with psycopg.connect(dsn, autocommit=True) as conn:
                make(conn, table, chosen.rows)
            show(table, chosen.rows, measure(dsn, table, chosen.ways, chosen.rounds))


if __name__ == "__main__":
    main()
