"""Measures how long a table takes to be read from the log again after its slot was lost:
`python -m benchmarks.log_bridge [--rows N] [--changes N]`.

A table with `mode: log` is loaded into the emulator and joins the log. Then `--changes` rows are inserted, as many are
updated and as many deleted, and the slot is dropped. Prints the seconds and the phases of the ticks until the table is
read from the log again, beside those of the first load, and whether both sides are equal. Markdown.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.read_half import server
from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import TableReport
from pgsnow.model.settings.settings import Settings
from pgsnow.snowflake.session import connect
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.log import configure

CONFIG: Mapping[str, Any] = {
    "log_publication": "bridge",
    "tables": [{"source": "public.orders", "target": "analytics.orders", "mode": "log", "pk": "id"}],
}
SCHEMA = """
create table orders (id bigint primary key, n int not null, name text, at timestamptz not null default now());
create publication bridge for table orders
"""
FILL = "insert into orders select g, g % 1000, md5(g::text) from generate_series({}, {}) g"
FILLED_AT_ONCE = 1_000_000
CHANGES = (
    "insert into orders select {rows} + g, 1, 'new' from generate_series(1, {changes}) g",
    "update orders set n = n + 1 where id % ({rows} / {changes}) = 1",
    "delete from orders where id % ({rows} / {changes}) = 2",
)
SUMS = "SELECT COUNT(*), SUM(ID), SUM(N) FROM {}"
MOST_TICKS = 50
HEAD = (
    "| | s | ticks | rows read | phases (s) | deleted rows searched for (s) | ranges compared | statements |\n"
    + "|---" * 8
    + "|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=10_000)
    given = parser.parse_args()
    configure(level=logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as dsn,
        EmbeddedSnowflake(Path(folder) / "snowflake", threads=2) as emulator,
        psycopg.connect(dsn, autocommit=True) as admin,
    ):
        emulator.create_database(DATABASE)
        fill(admin, given.rows)
        env = {"POSTGRES_DSN": dsn, **emulator.settings_env()}
        settings = Settings.from_env(env)
        with Engine(parse_config(dict(CONFIG), file="sync_config.yaml", env=env), settings) as engine:
            print(f"{given.rows:,} rows, {given.changes:,} of each kind of change\n")
            print(HEAD)
            show("first load", engine)
            for statement in CHANGES:
                admin.execute(statement.format(rows=given.rows, changes=given.changes).encode())
            admin.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
            show("after the slot was lost", engine)
        with connect(settings.snowflake, query_tag="benchmark") as session:
            target = session.execute(SUMS.format("ANALYTICS.ORDERS")).rows
        equal = [tuple(map(int, row)) for row in target] == admin.execute(
            SUMS.format("orders").encode()
        ).fetchall()
        print(f"\nBoth sides have the same count and sums: {'yes' if equal else 'NO'}.")


def fill(admin: psycopg.Connection[Any], rows: int) -> None:
    admin.execute(SCHEMA.encode())
    for first in range(1, rows + 1, FILLED_AT_ONCE):
        admin.execute(FILL.format(first, min(rows, first + FILLED_AT_ONCE - 1)).encode())
    admin.execute("vacuum (freeze, analyze) orders")


def show(what: str, engine: Engine) -> None:
    """Tick until the table is read from the log, and print what that cost."""
    began, reports = time.monotonic(), list[TableReport]()
    while not (reports and "from now on, changes are read from the log" in reports[-1].events):
        if len(reports) == MOST_TICKS:
            raise SystemExit(f"it does not join the log: {reports[-1].error or reports[-1].events}")
        reports += engine.tick(requested=True).tables
    seconds = time.monotonic() - began
    phases = {
        name: sum(report.phases.get(name, 0.0) for report in reports)
        for report in reports
        for name in report.phases
    }
    longest = sorted(phases.items(), key=lambda item: -item[1])[:5]
    print(
        f"| {what} | {seconds:.1f} | {len(reports)} | {sum(report.rows_read for report in reports):,} |"
        f" {', '.join(f'{name} {spent:.1f}' for name, spent in longest)} |"
        f" {sum(report.sweep_seconds for report in reports):.1f} |"
        f" {sum(report.ranges_compared for report in reports)} |"
        f" {sum(report.statement_count for report in reports)} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
