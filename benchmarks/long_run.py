"""Hours of ticks in one process, while the clock runs sixty times as fast: `python -m benchmarks.long_run [--hours N]`.

A PostgreSQL, the Snowflake emulator, a writer, and one engine that ticks all the time, as a worker does for days:
tables of all modes, two of them read from the log, searches for deleted rows, staged loads that wait, verification.
The server and the engine have a clock that runs faster (libfaketime, Debian's package), so that what is done hourly
and daily is done often: two days pass in an hour.

Every few seconds it samples what may grow: memory, file descriptors and threads of the engine's process, its
connections to the source, the ledger's size and rows, files and bytes in the stage, sessions in Snowflake, and the log
that the slot holds back. Each sample is a JSON line in --samples. At the end each is fitted by a line over the second
half: flat is what grows less than a twentieth, or by less than it varies. --plot writes them as a picture (SVG).
Ends with 1 if something grows, if a table failed at the end, or if source and target differ.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.long_run_figures import FIGURES, Figure, plot, read_samples, slope_of
from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake

SPEED = 60
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
CLOCK = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
"""The clock's lead is read from a file each second, so that waits and their limits stay as long as they are."""
SERVER = {**FAST_AND_FORGETFUL, "max_wal_size": "256MB", "checkpoint_timeout": "1h"}
TICKS_AN_HOUR = 30
MODES: Mapping[str, Mapping[str, Any]] = {
    "by_time": {"watermark_column": "at", "verify_every": "1d"},
    "by_transaction": {"mode": "xmin", "deletes": "soft"},
    "waiting": {"mode": "xmin", "load_every": "10m"},
    "logged": {"mode": "log"},
    "logged_later": {"mode": "log", "load_every": "10m"},
    "whole": {"mode": "full", "every": "10m"},
    "added": {"watermark_column": "at", "insert_only": True},
}
TABLE = "create table {0} (id bigint primary key, n int, name text, at timestamptz not null default now(), doc text)"
KEPT = 2000
"""Rows of each table that stay."""
WRITES = (
    "insert into {0} select g, g, md5(g::text), clock_timestamp(), repeat('x', 300)"
    " from generate_series({1} * 20, {1} * 20 + 19) g",
    "update {0} set n = n + 1, at = clock_timestamp() where id % 97 = {1} % 97",
    "delete from {0} where id < {1} * 20 - {2}",
)
LEDGER = """
select count(*) filter (where application_name like 'pgsnow%%'),
    (select sum(pg_total_relation_size(c.oid)) / 1e6 from pg_class c where relname like 'sync\\_%%' and relkind = 'r'),
    (select count(*) from sync_logs),
    (select coalesce(max(pg_current_wal_insert_lsn() - restart_lsn), 0) / 1e6 from pg_replication_slots)
from pg_stat_activity where datname = current_database()
"""


def config() -> dict[str, Any]:
    tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "pk": "id", **options}
        for name, options in MODES.items()
    ]
    return {
        "log_retention_days": 1,
        "log_publication": "long_run",
        "defaults": {"sweep_every": "1h", "sweep_share": 1, "max_delete_share": 1, "log_audit_every": "2h"},
        "tables": tables,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--samples", type=Path, default=Path("long_run.jsonl"))
    parser.add_argument("--plot", type=Path, help="SVG file to write at the end")
    parser.add_argument("--only-plot", action="store_true", help="judge and draw the samples that are there")
    parser.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        return tick_until_stopped(given.engine)
    wrong: list[str] = []
    if not given.only_plot:
        given.samples.write_text("")
        wrong = run(given.hours * 3600, given.every, given.samples)
    samples = read_samples(given.samples)
    if given.plot:
        given.plot.write_text(plot(samples))
    return judge(samples, wrong)


def judge(samples: list[dict[str, float]], wrong: list[str]) -> int:
    last = samples[-1]
    print(
        f"{last['hours']:.2f} hours, {last['ticks']:.0f} ticks, {last['clock_days']:.1f} days by the fast clock\n"
    )
    print("| | median of the first quarter | median of the last quarter | growth in the second half | |")
    print("|---|---|---|---|---|")
    growing = [figure.title for figure in FIGURES if not _show(figure, samples)]
    print(f"\ngrowing: {growing or 'nothing'}; wrong: {wrong or 'nothing'}")
    return 1 if growing or wrong else 0


def _show(figure: Figure, samples: list[dict[str, float]]) -> bool:
    found = slope_of([(one["hours"], one[figure.name]) for one in samples])
    verdict = "flat" if found.flat else "GROWS"
    print(f"| {figure.title} | {found.first:.4g} | {found.last:.4g} | {found.growth:+.1%} | {verdict} |")
    return found.flat


def run(seconds: float, every: float, samples: Path) -> list[str]:
    """Sample for so long; returns what is wrong at the end."""
    with servers() as (dsn, emulator, env, folder), Ticking(env, folder) as engine:
        stop, began = threading.Event(), time.monotonic()
        writer = threading.Thread(target=write, args=(dsn, folder / "clock", stop))
        writer.start()
        with psycopg.connect(dsn, autocommit=True) as admin, samples.open("a") as file:
            first = _now(admin)
            while (passed := time.monotonic() - began) < seconds and engine.running:
                time.sleep(every)
                if (folder / "ticks").exists():
                    found = sample(admin, emulator, engine, folder)
                    found |= {"hours": passed / 3600, "clock_days": (_now(admin) - first) / 86400}
                    file.write(json.dumps(found) + "\n")
                    file.flush()
        stop.set()
        writer.join()
        engine.stop()
        return [
            *([] if engine.code == 0 else [f"the engine ended with {engine.code}"]),
            *(differences(dsn, env)),
        ]


def sample(
    admin: psycopg.Connection[Any], emulator: EmbeddedSnowflake, engine: Ticking, folder: Path
) -> dict[str, float]:
    process = Path(f"/proc/{engine.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    [(connections, ledger_mb, log_rows, retained_mb)] = admin.execute(LEDGER.encode(), []).fetchall()
    files = staged_files(emulator)
    return {
        "ticks": int((folder / "ticks").read_text() or 0),
        "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "connections": int(connections),
        "ledger_mb": float(ledger_mb),
        "log_rows": int(log_rows),
        "stage_files": len(files),
        "stage_mb": sum(files) / 1e6,
        "sessions": emulator.sessions(),
        "retained_mb": float(retained_mb),
    }


def staged_files(emulator: EmbeddedSnowflake) -> list[int]:
    """Their sizes. A file may go while they are looked at."""
    found = []
    for file in emulator.data_dir.rglob("*.parquet*"):
        with suppress(OSError):
            found.append(file.stat().st_size)
    return found


def differences(dsn: str, env: Mapping[str, str]) -> list[str]:
    """Source and target by the tests' oracle, after two more ticks without a writer."""
    from tests import oracle

    reader = oracle.snowflake.connect(env)
    with oracle.postgres.connect(dsn) as source:
        found = [
            f"{entry['source']}: {len(list(different))} differences"
            for entry in config()["tables"]
            if not entry.get("insert_only")
            for different in [
                oracle.compare.differences(
                    source, lambda name: oracle.snowflake.read(reader, name), oracle.compare.Comparison(entry)
                )
            ]
            if different
        ]
    reader.close()
    return found


@contextmanager
def servers() -> Iterator[tuple[str, EmbeddedSnowflake, dict[str, str], Path]]:
    if not LIBRARY.exists():
        raise SystemExit(f"{LIBRARY} is missing: apt-get install faketime")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        emulator = EmbeddedSnowflake(folder / "snowflake", threads=1).start()
        postgres = EmbeddedPostgres(folder / "postgres", config=SERVER)
        (folder / "clock").write_text("+0")
        fast = {**CLOCK, "FAKETIME_TIMESTAMP_FILE": str(folder / "clock")}
        os.environ.update(fast)
        postgres.launch()
        for variable in fast:
            del os.environ[variable]
        try:
            postgres.wait()
            with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
                for table in MODES:
                    admin.execute(TABLE.format(table).encode())
                admin.execute(b"create publication long_run for table logged, logged_later")
            emulator.create_database(DATABASE)
            (folder / "config.json").write_text(json.dumps(config()))
            env = {"POSTGRES_DSN": postgres.dsn(), **emulator.settings_env(), **fast}
            yield postgres.dsn(), emulator, env, folder
        finally:
            postgres.stop()
            emulator.stop()


class Ticking:
    """The engine in a process of its own, whose clock is fast."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._args = [sys.executable, "-m", "benchmarks.long_run", "--engine", str(folder)]
        self._env = {**os.environ, **env}
        self._log = folder / "engine.log"

    def __enter__(self) -> Ticking:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._args, env=self._env, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self.code:
            print(self._log.read_text()[-4000:], file=sys.stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        """Let it load everything, and end: within ten minutes."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(600)


def tick_until_stopped(folder: Path) -> int:
    """The engine's process: a tick every two minutes by its clock. After SIGTERM, ticks that load what is left."""
    from pgsnow.model.config.sync_config import parse_config
    from pgsnow.model.settings.settings import Settings
    from pgsnow.sync.engine import Engine
    from pgsnow.sync.runtime.log import configure

    configure(level=40)
    stop, number = threading.Event(), 0
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    given = parse_config(json.loads((folder / "config.json").read_text()), file="config.json", env={})
    with Engine(given, Settings.from_env(dict(os.environ))) as engine:
        while not stop.wait(0.0 if number == 0 else 120 / SPEED):
            engine.tick()
            number += 1
            (folder / "ticks").write_text(str(number))
            if number % TICKS_AN_HOUR == 0:
                engine.ledger.run_log._purged_at = None  # an hour has passed by the fast clock
        reports = [engine.tick(requested=True, load=True, confirm_deletes=True) for _ in range(4)]
    failed = [(table.table, table.error) for table in reports[-1].tables if table.error]
    print("at the end:", failed or "no errors", flush=True)
    return 1 if failed else 0


def write(dsn: str, clock: Path, stop: threading.Event) -> None:
    """Rows are added, changed and removed, so that each table keeps its size. The clock moves on."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        number, began = 0, time.monotonic()
        while not stop.wait(0.4):
            number += 1
            lead = clock.with_suffix(".new")
            lead.write_text(f"+{(SPEED - 1) * (time.monotonic() - began):.0f}")
            lead.rename(clock)
            name = list(MODES)[number % len(MODES)]
            for statement in WRITES[: 1 if name == "added" else None]:
                conn.execute(statement.format(name, number, KEPT * len(MODES)).encode())
            if number % 40 == 0:
                conn.execute(b"select pg_log_standby_snapshot()")  # a server does this every 15 seconds


def _now(admin: psycopg.Connection[Any]) -> float:
    [(now,)] = admin.execute("select extract(epoch from clock_timestamp())::float8").fetchall()
    return float(now)


if __name__ == "__main__":
    sys.exit(main())
