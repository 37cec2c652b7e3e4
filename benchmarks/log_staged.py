"""Measures a tick that reads the log and stages its changes: `python -m benchmarks.log_staged [--rows N] [--commits N]
[--rounds N]`.

One table of 7 columns with `mode: log` and `load_every`, so that a tick reads the log, decodes it, writes Parquet,
uploads it to the stage, records it in the ledger, and moves the slot. `discarded` takes the messages of a replication
session over the same log and forgets them, which is the floor; `staged` is the tick, in a process that has ticked
before, as a worker has. Both are in a process of their own. `read` are the seconds of the tick until the end of the
log was read. Prints Markdown; `ratio` is the throughput of the tick over the floor's. On a busy machine rely on CPU
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.log_read import ROWS, TABLE, discarded, spill, value
from benchmarks.read_half import server
from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.log.lsn import parse_lsn
from pgsnow.model.settings.postgres import PostgresSettings
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.connection import LogSource
from pgsnow.sync.engine import Engine

SLOT, PUBLICATION = "staged", "staged"
CONFIG: dict[str, Any] = {
    "log_slot": SLOT,
    "log_publication": PUBLICATION,
    "max_retained_wal": "100GB",
    "tables": [
        {"source": "public.t", "target": "analytics.t", "mode": "log", "pk": "id", "load_every": "1d",
         "load_when_rows": sys.maxsize},
    ],
}  # fmt: skip
HEAD = (
    "| | ratio | wall, s | rows/s | CPU, s | CPU, us a row | server CPU, s | read, s | RSS, MB | spill on the source,"
    " MB |\n|" + "---|" * 10
)
FIGURES = ("seconds", "cpu", "server_cpu", "read", "rss")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        once()
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as dsn,
        EmbeddedSnowflake(Path(folder) / "snowflake", threads=1) as emulator,
        psycopg.connect(dsn, autocommit=True) as admin,
    ):
        emulator.create_database(DATABASE)
        env = {"POSTGRES_DSN": dsn, **emulator.settings_env(DATABASE)}
        admin.execute("set synchronous_commit = on")
        prepare(admin, env)
        with Worker(env) as worker:
            for case, rows, size in (
                (f"{given.commits:,} commits of 1 row", given.commits, 1),
                (f"{given.commits // 5:,} commits of 10 rows", 2 * given.commits, 10),
                (f"1 commit of {given.rows:,} rows", given.rows, given.rows),
            ):
                rounds = [one_round(admin, worker, dsn, rows, size) for _ in range(given.rounds)]
                show(case, rows, rounds)


def prepare(admin: psycopg.Connection[Any], env: dict[str, str]) -> None:
    """The table, which reads the log, and an empty ledger."""
    admin.execute(TABLE.encode())
    admin.execute(
        "create procedure commits(first bigint, last bigint, size bigint) language plpgsql as $$ declare n bigint;"
        " begin for n in select * from generate_series(first, last, size) loop insert into t"
        f" {ROWS.format('n', 'n + size - 1')}; commit; end loop; end $$".encode()
    )
    admin.execute("insert into t (id) values (0)")
    admin.execute(f"create publication {PUBLICATION} for table t".encode())
    ledger = Ledger(Settings.from_env(env).ledger, "public")
    ledger.migrate()
    ledger.close()


class Worker:
    """A process that ticks each time it is told to."""

    def __init__(self, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.log_staged", "--once"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        for _ in range(3):  # the first load, and joining the log
            self.tell({"do": "tick"})

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def tell(self, what: dict[str, Any]) -> dict[str, Any]:
        """Let the process do it; its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the worker has ended")
        return dict(json.loads(line))


def once() -> None:
    """The worker's process."""
    settings = Settings.from_env(os.environ)
    with Engine(config(), settings) as engine:
        for line in sys.stdin:
            what = json.loads(line)
            print(json.dumps(tick(engine) if what["do"] == "tick" else {}), flush=True)


def config() -> SyncConfig:
    return parse_config(CONFIG, file="benchmark", env={})


def tick(engine: Engine) -> dict[str, Any]:
    """Run one tick; its figures."""
    began, cpu = time.monotonic(), time.process_time()
    report = engine.tick(requested=True)
    taken = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")
    return {**taken, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def one_round(
    admin: psycopg.Connection[Any], worker: Worker, dsn: str, rows: int, size: int
) -> dict[str, dict[str, float]]:
    """Write the rows, and read their log both ways."""
    first = int(value(admin, "select max(id) + 1 from t"))
    admin.execute(f"call commits({first}, {first + rows - 1}, {size})".encode())
    until = parse_lsn(value(admin, "select pg_current_wal_flush_lsn()::text"))
    spilled = spill(admin)
    floor = subprocess.run(
        [sys.executable, "-c", f"from benchmarks.log_staged import floor; floor({dsn!r}, {until})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    between = spill(admin)
    told = worker.tell({"do": "tick"})
    ((read, staged),) = admin.execute(
        "select (select (figures ->> 'seconds')::float8 from sync_slots), (select sum((b ->> 'rows')::bigint) from"
        " sync_watermarks, jsonb_array_elements(staged) b)"
    ).fetchall()
    if int(staged or 0) != int(value(admin, "select count(*) - 1 from t")):
        raise SystemExit(f"{staged} rows are staged")
    return {
        "discarded": {"read": 0.0, **json.loads(floor.stdout), "spill": (between - spilled) / 2**20},
        "staged": {**told, "server_cpu": 0.0, "read": read, "spill": (spill(admin) - between) / 2**20},
    }


def floor(dsn: str, until: int) -> None:
    """Discard the messages of the log up to a position; prints the figures."""
    source = Source(PostgresSettings.from_dsn(dsn))
    with closing(source.connect()) as conn:
        conn.execute("select 1")
        began, cpu = time.monotonic(), time.process_time()
        found = discarded(LogSource(source, SLOT, PUBLICATION), conn, Path(), until)
        taken = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**taken, "server_cpu": found["server_cpu"], "rss": rss}))


def show(case: str, rows: int, rounds: list[dict[str, dict[str, float]]]) -> None:
    print(f"\n{case}\n\n{HEAD}")
    ratio = statistics.median(one["discarded"]["seconds"] / one["staged"]["seconds"] for one in rounds)
    for way in ("discarded", "staged"):
        found = {name: statistics.median(one[way][name] for one in rounds) for name in (*FIGURES, "spill")}
        print(
            f"| {way} | {1.0 if way == 'discarded' else ratio:.2f} | {found['seconds']:.2f} |"
            f" {rows / found['seconds']:,.0f} | {found['cpu']:.2f} | {1e6 * found['cpu'] / rows:.2f} |"
            f" {found['server_cpu']:.2f} | {found['read']:.2f} | {found['rss']:.0f} | {found['spill']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
