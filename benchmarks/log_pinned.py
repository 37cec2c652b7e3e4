"""Simulates a transaction that stays open while tables are read from the log:
`python -m benchmarks.log_pinned [--minutes N] [--every MINUTES] [--mb N]`.

One table with `mode: log`, another one that is not published. An application has written a row and does not commit;
before each tick others write `--mb` megabytes of log, of which a few rows are in the published table. The clock of the
schedule is moved between ticks: nothing waits. Prints by tick the log that the slot holds back, what was read, and
how long that took; then the share of the time that ticks took, and the first tick after the transaction has ended.
The target is in memory. Markdown.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.read_half import server
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import TableReport
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.log import configure
from pgsnow.testing.destination import memory_destination
from pgsnow.testing.warehouse import MemoryWarehouse

NOWHERE = dict.fromkeys(("ACCOUNT", "USER", "PASSWORD", "WAREHOUSE", "DATABASE"), "none")
CONFIG: Mapping[str, Any] = {
    "log_publication": "pinned",
    "max_retained_wal": "8GB",
    "tables": [{"source": "public.orders", "target": "analytics.orders", "mode": "log", "pk": "id"}],
}
SCHEMA = """
create table orders (id bigint primary key, n int, name text, at timestamptz not null default now());
create table other (id bigint generated always as identity primary key, doc text);
create publication pinned for table orders
"""
CHURN = (
    "insert into orders select g, g, md5(g::text) from generate_series({0}, {0} + 19) g",
    "update orders set n = n + 1 where id between {0} - 10 and {0}",
    "delete from orders where id < {0} - 100",
)
OTHER = "insert into other (doc) select repeat('x', 1000) from generate_series(1, {0})"
RETAINED = "select (pg_current_wal_insert_lsn() - restart_lsn)::bigint from pg_replication_slots"
LATER = """
update sync_slots set read_at = read_at - make_interval(secs => {0}),
    figures = figures || case when jsonb_typeof(figures -> 'held_at') = 'number'
        then jsonb_build_object('held_at', (figures ->> 'held_at')::float8 - {0}) else '{{}}' end
"""


@dataclass
class Pinned:
    """The benchmark's servers. held: a session with an open transaction."""

    admin: psycopg.Connection[Any]
    held: psycopg.Connection[Any]
    engine: Engine
    number: int = 0

    def tick(self, mb: float, pause: float) -> tuple[float, TableReport]:
        """Write so much log, let `pause` seconds pass for the schedule, and tick once."""
        self.number += 1
        for statement in CHURN:
            self.admin.execute(statement.format(100_000 + self.number * 20).encode())
        self.admin.execute(OTHER.format(max(1, round(mb * 900))).encode())
        # A server does this every 15 seconds; only then restart_lsn can move.
        self.admin.execute("select pg_log_standby_snapshot()")
        if self.number > 1:  # there is a ledger
            self.admin.execute(LATER.format(pause).encode())
        began = time.monotonic()
        [report] = self.engine.tick(requested=True).tables
        return time.monotonic() - began, report

    @property
    def retained(self) -> float:
        """Megabytes of log that the slot holds back."""
        [(found,)] = self.admin.execute(RETAINED.encode()).fetchall()
        return float(found) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=2.0, help="minutes between two ticks")
    parser.add_argument("--mb", type=float, default=7.0, help="megabytes of log between two ticks")
    given = parser.parse_args()
    configure(level=logging.CRITICAL)
    with (
        server() as dsn,
        psycopg.connect(dsn, autocommit=True) as admin,
        psycopg.connect(dsn) as held,
    ):
        admin.execute(SCHEMA.encode())
        env = {"POSTGRES_DSN": dsn, **{f"SNOWFLAKE_{name}": value for name, value in NOWHERE.items()}}
        config, target = (
            parse_config(dict(CONFIG), file="sync_config.yaml", env=env),
            memory_destination(MemoryWarehouse()),
        )
        with Engine(config, Settings.from_env(env), destination=target) as engine:
            show(Pinned(admin, held, engine), given.minutes, given.every, given.mb)


def show(world: Pinned, minutes: float, every: float, mb: float) -> None:
    for _ in range(3):
        world.tick(mb, every * 60)
    world.held.execute("insert into other (doc) values ('open')")
    print(
        "| minute | retained WAL (MB) | tick (s) | CPU of the worker (s) | log |\n|---|---|---|---|---|",
        flush=True,
    )
    spent = 0.0
    ticks = round(minutes / every)
    for number in range(1, ticks + 1):
        cpu = time.process_time()
        seconds, report = world.tick(mb, every * 60)
        spent, cpu = spent + seconds, time.process_time() - cpu
        text = "; ".join([report.error or "", *report.events]).strip("; ")
        print(
            f"| {number * every:g} | {world.retained:.0f} | {seconds:.2f} | {cpu:.2f} | {text} |", flush=True
        )
    world.held.commit()
    seconds, _ = world.tick(mb, every * 60)
    after, _ = world.tick(mb, every * 60)
    print(
        f"\n{ticks} ticks took {spent:.1f} s of {minutes * 60:.0f} s ({spent / minutes / 0.6:.1f} %). After the"
        f" transaction has ended: {seconds:.2f} s, then {after:.2f} s; the slot holds back {world.retained:.0f} MB."
    )


if __name__ == "__main__":
    main()
