"""Measures ticks over many small tables with a Snowflake that answers late: `python -m benchmarks.latency [--delay 0.3]
[--tables 50]`.

A proxy in front of the emulator delays each reply, logins and uploads included, as the network and the real service
do. Each tick is the first one of the tables, or one in which 3 or 20 rows of each of them have changed; with 20 tables
it is measured without a delay, too. Prints wall and CPU seconds of this process, the statements and logins that the
emulator has received, and the seconds for which it was busy with them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Figures
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine
from pgsnow.testing.proxy import FaultProxy

TABLE = """
create table t{0} (id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp());
insert into t{0} select g, 'n' || g from generate_series(1, 500) g;
create index on t{0} (updated_at)
"""
CHANGE = "update t{0} set name = name || 'x', updated_at = clock_timestamp() where id <= {1}"
CHANGES = (3, 3, 20, 20)
"""Changed rows of each table, by tick: bound values, then staged files."""
WITHOUT = 20
"""Tables of the ticks that are measured without a delay, too."""


def config_of(numbers: range) -> SyncConfig:
    tables = [
        {"source": f"public.t{n}", "target": f"analytics.t{n}", "pk": "id", "watermark_column": "updated_at"}
        for n in numbers
    ]
    return parse_config({"parallel_tables": 8, "tables": tables}, file="benchmark", env={})


class Ticks:
    """Measures the ticks of one engine."""

    def __init__(self, stack: Stack, engine: Engine, figures: Figures, **values: Any) -> None:
        self._stack, self._engine, self._figures, self._values = stack, engine, figures, values

    def measure(self, name: str) -> None:
        snowflake = self._stack.snowflake
        noted, logins = snowflake.noted(), snowflake.connections()
        began, used = time.monotonic(), cpu()
        report = self._engine.tick()
        seconds, used = time.monotonic() - began, cpu() - used
        if report.failures:
            raise SystemExit(report.failures[0].error or "failed")
        sent = snowflake.stats(after=noted)["statements"]
        verbs, busy = Counter[str](), Counter[str]()
        for one in sent:
            verb = one["text"].split(None, 1)[0].upper()
            verbs[verb] += 1
            busy[verb] += one["seconds"]
        self._figures.add(
            "latency", tick=name, **self._values, seconds=seconds, cpu=used, statements=len(sent),
            logins=snowflake.connections() - logins,
            verbs=dict(verbs), emulator_seconds={verb: round(busy[verb], 2) for verb in busy},
        )  # fmt: skip


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.3, help="seconds before each reply")
    parser.add_argument("--tables", type=int, default=50)
    given = parser.parse_args()
    figures = Figures()
    figures.forget({"latency"})
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder)) as stack,
        FaultProxy(stack.snowflake.port) as proxy,
    ):
        env = stack.env() | {"SNOWFLAKE_PORT": str(proxy.port)}
        first = 0
        for tables, delay in ((given.tables, given.delay), (WITHOUT, given.delay), (WITHOUT, 0.0)):
            numbers, first = range(first, first + tables), first + tables
            with psycopg.connect(env["POSTGRES_DSN"], autocommit=True) as conn:
                for number in numbers:
                    conn.execute(TABLE.format(number).encode())
                conn.execute("analyze")
                proxy.behave(reply_delay=delay)
                with Engine(config_of(numbers), Settings.from_env(env)) as engine:
                    ticks = Ticks(stack, engine, figures, tables=tables, delay=delay)
                    ticks.measure("first load")
                    for rows in CHANGES:
                        for number in numbers:
                            conn.execute(CHANGE.format(number, rows).encode())
                        ticks.measure(f"{rows} rows of each changed")


if __name__ == "__main__":
    main()
