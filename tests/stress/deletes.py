"""Concurrent writers that delete, against a whole sync: `python -m tests.stress.deletes --seconds 60 --writers 16`.

The writers insert, update, delete, delete and insert again, change and exchange keys, move rows between partitions,
drop and detach partitions, delete parents with their children, and empty tables, in transactions of every kind. After
each tick it is checked that no row is missing that the source has had since the tick began, and that no such row was
removed. After the writers stop, and the server has counted their deletes, two more ticks must leave no difference.

--deletes off is a control: there must be rows that the source no longer has. --wrong-rule is another one: deleted rows
are looked for as in a snapshot that is older than the read, so rows must be removed that exist. --kill: a process for
each tick, most of which are killed, and the Snowflake emulator. Exit code 0 if everything is as it must be; else 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.small_ranges import small_ranges
from tests.stress.delete_tables import KINDS, schema
from tests.stress.delete_targets import InMemory, Killed
from tests.stress.delete_witness import Findings, Key, look, look_again
from tests.stress.delete_writers import SHARED, DeletingWriter
from tests.stress.watermark import server
from tests.stress.writers import start_writers

EVERY = 0.4
"""Seconds between two ticks, about."""
FLUSHED_AFTER = 11.0
"""Seconds after which an idle session's counters are certainly in the statistics. (PGSTAT_IDLE_INTERVAL is 10 s.)"""


@dataclass(slots=True)
class TableEnd:
    """One table after the last tick."""

    rows: int
    missing: list[Key] = field(default_factory=list)
    stale: list[Key] = field(default_factory=list)
    ghosts: list[Key] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(argv)
    with (
        small_ranges(),
        server(None, pooled=given.pooled) as (direct, dsn),
        tempfile.TemporaryDirectory() as folder,
    ):
        with psycopg.connect(direct, autocommit=True) as admin:
            admin.execute(schema().encode())
            fill(admin, SHARED)
        kind = Killed if given.kill else InMemory
        sync = kind(direct, dsn, Path(folder), options(given), given.seed)
        if isinstance(sync, InMemory):
            sync.is_wrong = given.wrong_rule
        try:
            return verdict(given, sync, *stress(direct, dsn, sync, given))
        finally:
            sync.close()


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000)
    parser.add_argument("--deletes", choices=["hard", "soft", "off"], default="hard")
    parser.add_argument(
        "--pooled", action="store_true", help="everything but the checks goes through pgbouncer"
    )
    parser.add_argument(
        "--wrong-rule", action="store_true", help="a control: rows that exist must be removed"
    )
    parser.add_argument("--kill", action="store_true", help="ticks in processes, most of which are killed")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all tables"
    )
    return parser.parse_args(argv)


def options(given: argparse.Namespace) -> dict[str, Any]:
    more = dict(setting.split("=", 1) for setting in given.set)
    return {
        "defaults": {
            "deletes": given.deletes, "sweep_share": 1, "max_delete_share": 1, "max_skew": "500ms", **more,
        },
    }  # fmt: skip


def stress(
    direct: str, dsn: str, sync: InMemory | Killed, given: argparse.Namespace
) -> tuple[Findings, dict[str, TableEnd], str]:
    findings = Findings()
    with psycopg.connect(direct, autocommit=True, prepare_threshold=None) as admin:
        started = start_writers(
            dsn, given.writers, given.seed, given.seconds, pooled=given.pooled, kind=DeletingWriter
        )
        while any(process.is_alive() for process in started):
            checked_tick(admin, sync, findings)
            time.sleep(EVERY * sync.random.uniform(0.3, 1.7))
        if any(process.exitcode for process in started):
            raise SystemExit("a writer has failed")
        fill(admin, 10)
        wait_for_counters(admin, pooled=given.pooled)
        for _ in range(2):
            checked_tick(admin, sync, findings, calm=True)
        return findings, ends(admin, sync), summary(admin)


def checked_tick(
    admin: psycopg.Connection[Any], sync: InMemory | Killed, findings: Findings, *, calm: bool = False
) -> None:
    before = look(admin)
    ticked = sync.tick(calm=calm)
    target = sync.rows()
    lasting = look_again(admin, before)
    findings.after_tick({table: lasting[table] for table in ticked.tables}, target)
    findings.after_removals(lasting, ticked.removed)


def fill(admin: psycopg.Connection[Any], rows: int) -> None:
    """Rows in each table: at the end, because from one that is empty nothing is deleted without a confirmation."""
    for kind in KINDS:
        admin.execute(
            f"insert into {kind.name} ({kind.key_columns}, n, v, updated_at)"
            f" select {', '.join(kind.key.values())}, g, 0, now() from generate_series(1, {rows}) g"
            f" on conflict ({kind.key_columns}) do nothing".encode()
        )


def wait_for_counters(admin: psycopg.Connection[Any], *, pooled: bool) -> None:
    """Until the sessions of the writers have ended, or, if a pooler keeps them, have been idle for long enough."""
    admin.execute("select pg_stat_force_next_flush()")
    if pooled:
        time.sleep(FLUSHED_AFTER)
    else:
        time.sleep(1.5)


def summary(admin: psycopg.Connection[Any]) -> str:
    """What the writers have committed."""
    query = "select count(*) filter (where alive), count(*) filter (where not alive), count(distinct xid) from life"
    ((added, gone, transactions),) = admin.execute(query).fetchall()
    return f"{added} rows added and {gone} removed by {transactions} transactions"


def ends(admin: psycopg.Connection[Any], sync: InMemory | Killed) -> dict[str, TableEnd]:
    source, target = look(admin).rows, sync.rows()
    found = {}
    for name, rows in source.items():
        there = target[name]
        found[name] = TableEnd(
            len(rows),
            [key for key in rows if key not in there],
            [key for key, value in rows.items() if there.get(key, value) != value],
            [key for key in there if key not in rows],
        )
    return found


def verdict(
    given: argparse.Namespace,
    sync: InMemory | Killed,
    findings: Findings,
    ended: dict[str, TableEnd],
    written: str,
) -> int:
    totals = sync.totals
    print(f"{given.seconds:g} s, {given.writers} writers, seed {given.seed}, deletes: {given.deletes}"
          f"{', pooled' if given.pooled else ''}{', ' + ' '.join(given.set) if given.set else ''}")  # fmt: skip
    print(f"{totals.ticks} ticks, {totals.kills} killed, {totals.confirmed} confirmed, full reads:"
          f" {dict(totals.full_reads)}, errors: {dict(totals.errors)}")  # fmt: skip
    print(f"source: {written}")
    print(f"after ticks: {findings.checked} keys checked, {findings.lost} lost; {findings.removed} removed,"
          f" {findings.removed_alive} of them alive")  # fmt: skip
    print(f"{'table':10} {'rows':>7} {'missing':>8} {'stale':>6} {'ghosts':>7}")
    for name, end in ended.items():
        print(f"{name:10} {end.rows:7} {len(end.missing):8} {len(end.stale):6} {len(end.ghosts):7}")
        wrong = {"missing": end.missing, "stale": end.stale, "ghosts": end.ghosts}
        findings.examples += [f"{name} {kind}: {keys[:3]}" for kind, keys in wrong.items() if keys]
    for example in findings.examples[:20]:
        print(" ", example)
    good = is_right(given, findings, ended)
    print("verdict:", "as it must be" if good else "NOT as it must be", flush=True)
    return 0 if good else 1


def is_right(given: argparse.Namespace, findings: Findings, ended: dict[str, TableEnd]) -> bool:
    """The control must have ghosts, and the others none; nothing else may be wrong, and something must have been
    removed."""
    ghosts = sum(len(end.ghosts) for end in ended.values())
    wrong = (
        sum(len(end.missing) + len(end.stale) for end in ended.values())
        + findings.lost
        + findings.removed_alive
    )
    if given.wrong_rule:
        return findings.removed_alive + findings.lost > 0
    if given.deletes == "off":
        return ghosts > 0 and wrong == 0
    return ghosts == 0 and wrong == 0 and findings.removed > 0


if __name__ == "__main__":
    sys.exit(main())
