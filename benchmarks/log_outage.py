"""Simulates hours without Snowflake: `python -m benchmarks.log_outage [--hours N] [--every MINUTES] [--steps N]`.

Two tables with `mode: log` in one slot, and a writer that adds, changes and deletes rows before each tick, besides
other log. `warehouse`: no statement is executed that needs a warehouse, files can be uploaded. `service`: nothing
answers. `folder`: the same, with `log_spool_dir`. Prints for some of the ticks the log that the slot holds back, the
batches that wait in the ledger, and how long the tick took; then how long it takes to load everything, and whether
both sides are equal. Markdown.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.read_half import server
from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.log.setup import set_up
from pgsnow.operations.verify.verify import verify
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.log import configure
from pgsnow.testing.proxy import FaultProxy

NAMES = ("orders", "lines")
CONFIG: Mapping[str, Any] = {
    "max_retained_wal": "64MB",
    "log_publication": "outage",
    "tables": [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "log", "pk": "id"}
        for name in NAMES
    ],
}
TABLE = "create table {} (id bigint primary key, n int, name text, at timestamptz not null default now(), doc text)"
WRITES = (
    "insert into {0} select g, g, md5(g::text), now(), repeat('x', 200) from generate_series({1}, {1} + 199) g",
    "update {0} set n = n + 1 where id % 7 = {1} % 7 and id < 2000",
    "delete from {0} where id between {1} - 900 and {1} - 850",
)
OTHER_LOG = "select pg_logical_emit_message(false, 'other', repeat('x', 2000000))"
REFUSED = ("MERGE", "COPY INTO", "INSERT INTO", "UPDATE ", "DELETE FROM")
RETAINED = """select pg_current_wal_insert_lsn() - restart_lsn from pg_replication_slots"""
WAITING = """select coalesce(max(jsonb_array_length(staged)), 0), coalesce(sum(length(staged::text)), 0),
    coalesce(sum(pg_column_size(staged)), 0), coalesce(sum((select sum((b ->> 'size')::bigint)
        from jsonb_array_elements(staged) b)), 0)
from sync_watermarks"""
HEAD = (
    "| hours | retained WAL (MB) | batches a table | staged (MB) | ledger (KB, stored) | slot | tick (s) |\n|"
    + "---|" * 7
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=2.0, help="minutes between two ticks")
    parser.add_argument("--steps", type=int, default=10, help="lines to print")
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=("warehouse", "service", "folder"),
        default=["warehouse", "service", "folder"],
    )
    given = parser.parse_args()
    configure(level=logging.CRITICAL)
    ticks = max(1, round(given.hours * 60 / given.every))
    for case in given.cases:
        print(f"\n{case}: {ticks} ticks, {given.every:g} minutes apart\n\n{HEAD}")
        with outage(case) as world:
            world.run(ticks, given.every / 60, max(1, ticks // given.steps))


class Outage:
    """A source, an engine and an emulator behind a proxy, in one of the two cases."""

    def __init__(self, case: str, admin: psycopg.Connection[Any], engine: Engine, proxy: FaultProxy) -> None:
        self.case, self.admin, self.engine, self.proxy = case, admin, engine, proxy

    def run(self, ticks: int, hours: float, step: int) -> None:
        """hours: between two ticks. step: ticks between two lines."""
        for number in range(1, ticks + 1):
            self.write(number)
            began = time.monotonic()
            self.engine.tick(requested=True)
            if number % step == 0 or number == ticks:
                self.show(number * hours, time.monotonic() - began)
        self.end()
        began, count = time.monotonic(), 0
        reports = [self.engine.tick(requested=True)]
        while not all(table.ok for table in reports[-1].tables) and count < 10:
            reports, count = [*reports, self.engine.tick(requested=True)], count + 1
        self.say(reports, time.monotonic() - began)

    def write(self, number: int) -> None:
        for name in NAMES:
            for statement in WRITES:
                self.admin.execute(statement.format(name, number * 1000).encode())
        self.admin.execute(OTHER_LOG.encode())
        # A server does this every 15 seconds; only then restart_lsn can move.
        self.admin.execute("select pg_log_standby_snapshot()")

    def show(self, hours: float, seconds: float) -> None:
        ((retained,),) = self.admin.execute(RETAINED.encode()).fetchall()
        ((batches, text, stored, size),) = self.admin.execute(WAITING.encode()).fetchall()
        ((generation,),) = self.admin.execute("select generation from sync_slots").fetchall()
        print(
            f"| {hours:.1f} | {float(retained) / 2**20:.1f} | {batches} | {float(size) / 2**20:.1f} |"
            f" {text / 1024:.0f}, {stored / 1024:.0f} | {generation} | {seconds:.1f} |",
            flush=True,
        )

    def end(self) -> None:
        """Snowflake is back."""
        self.proxy.heal()

    def say(self, reports: list[SyncReport], seconds: float) -> None:
        errors = [table.error for table in reports[-1].tables if table.error]
        wrong = [v.table for v in verify(self.engine) if not v.equal]
        print(
            f"\nAfterwards {seconds:.1f} s in {len(reports)} ticks; errors: {errors or 'none'}; different tables:"
            f" {wrong or 'none'}"
        )


@contextmanager
def outage(case: str) -> Iterator[Outage]:
    """Both tables are read from the log; Snowflake is away from then on."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as dsn,
        EmbeddedSnowflake(Path(folder) / "snowflake", threads=1) as emulator,
        FaultProxy(emulator.port) as proxy,
        psycopg.connect(dsn, autocommit=True) as admin,
    ):
        emulator.create_database(DATABASE)
        for name in NAMES:
            admin.execute(TABLE.format(name).encode())
        admin.execute(f"create publication outage for table {', '.join(NAMES)}".encode())
        env = {"POSTGRES_DSN": dsn, **emulator.settings_env(), "SNOWFLAKE_PORT": str(proxy.port)}
        settings = Settings.from_env(env)
        ledger = Ledger(settings.ledger, "public")
        ledger.migrate()
        ledger.close()
        kept = {"log_spool_dir": f"{folder}/kept"} if case == "folder" else {}
        config = parse_config({**CONFIG, **kept}, file="sync_config.yaml", env=env)
        if kept:
            set_up(config, settings, holder="benchmark")
        with Engine(config, settings) as engine:
            world = Outage(case, admin, engine, proxy)
            for number in range(-2, 1):
                world.write(number)
                engine.tick(requested=True)
            if case in ("service", "folder"):
                proxy.behave(refuse=True)
                proxy.reset()
            else:
                refuse(emulator)
                world.end = lambda: emulator.answer_with()  # type: ignore[method-assign]
            yield world


def refuse(emulator: EmbeddedSnowflake) -> None:
    """No statement is executed that needs a warehouse."""
    text = "Warehouse 'WH' cannot be resumed because resource monitor 'RM' has exceeded its quota."
    error = {"errno": 90073, "sqlstate": "22000", "message": text, "database": DATABASE}
    emulator.answer_with(*({"containing": verb, **error} for verb in REFUSED))


if __name__ == "__main__":
    main()
