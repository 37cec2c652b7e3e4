"""Reads the users' rows into one Parquet file with other readers: `python -m benchmarks.read_peers [--rows N]`.

psql's COPY is the floor. The ADBC driver, connectorx and DuckDB's Postgres scanner run in their own environments, each
as a new process, so their figures include their start. benchmarks.read_half measures pgsnow against the same floor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.peers.venvs import NotInstallable, cache, make_venv, version_of
from benchmarks.process_tree import CommandFailed, Spent, run
from benchmarks.users import users

ROUNDS, SECONDS = 3, 300.0
CONNECTORX = """
import sys, connectorx, pyarrow.parquet
table = connectorx.read_sql(sys.argv[1], "select * from users", return_type="arrow")
pyarrow.parquet.write_table(table, sys.argv[2], compression="zstd")
"""
DUCKDB = """
import sys, duckdb
duckdb.sql("install postgres; load postgres")
users = f"select * from postgres_scan('{sys.argv[1]}', 'public', 'users')"
duckdb.sql(f"copy ({users}) to '{sys.argv[2]}' (compression zstd)")
"""
ADBC = """
import sys, adbc_driver_postgresql.dbapi, pyarrow.parquet
with adbc_driver_postgresql.dbapi.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute("select * from users")
    reader = cursor.fetch_record_batch()
    with pyarrow.parquet.ParquetWriter(sys.argv[2], reader.schema, compression="zstd", compression_level=1) as writer:
        for batch in reader:
            writer.write_batch(batch)
"""
PEERS = {
    "adbc-driver-postgresql": (
        ("adbc-driver-postgresql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow"),
        ADBC,
        "COPY through libpq; numeric as text, jsonb and text[] as they come",
    ),
    "connectorx": (
        ("connectorx==0.4.6", "pyarrow"),
        CONNECTORX,
        "values converted, the whole table in memory",
    ),
    "duckdb": (("duckdb==1.4.2",), DUCKDB, "values converted"),
}


def measure(name: str, dsn: str, folder: Path) -> tuple[list[Spent], str]:
    packages, script, note = PEERS[name]
    venv = cache() / f"read-{name}"
    make_venv(venv, packages)
    argv = [str(venv / "bin" / "python"), "-c", script, dsn, str(folder / f"{name}.parquet")]
    spent = [run(argv, os.environ, folder, folder / f"{name}.log", SECONDS) for _ in range(ROUNDS)]
    return spent, f"{version_of(venv, name)}; {note}"


def floor(dsn: str, folder: Path) -> list[Spent]:
    copy = r"\copy (select * from users) to '/dev/null' with (format binary)"
    argv = ["psql", "-X", "-q", "-d", dsn, "-c", copy]
    return [run(argv, os.environ, folder, folder / "psql.log", SECONDS) for _ in range(ROUNDS)]


def note(figures: Figures, way: str, spent: list[Spent], text: str) -> None:
    middle = {
        name: statistics.median(getattr(each, name) for each in spent) for name in ("wall", "cpu", "rss_mb")
    }
    seconds = middle.pop("wall")
    figures.add("reading", way=way, seconds=seconds, **middle, note=text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    figures = Figures()
    figures.forget({"reading", "no_reading"})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with users(folder, rows) as source, source.copy("readers") as dsn:
            note(figures, "psql COPY, binary, to /dev/null", floor(dsn, folder), "the floor")
            for peer in PEERS:
                try:
                    spent, text = measure(peer, dsn, folder)
                except (CommandFailed, NotInstallable) as error:
                    figures.add("no_reading", way=peer, why=str(error)[-200:])
                    continue
                note(figures, peer, spent, text)


if __name__ == "__main__":
    main()
