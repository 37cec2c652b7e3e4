"""Concurrent writers against the reader: `python -m tests.stress.watermark --seconds 90 --writers 16`.

Prints, for each reader, the rows that its copy misses, those that are stale and those that never were committed.
Exit code 0 if every lossless reader has none of these and the plain query beside them lost rows (so that the
stress proves something); 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.model.checkpoint import ReadMode
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of, watermark_of
from pgsnow.model.settings.postgres import CopyMode
from pgsnow.model.table import TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from tests.pooler import pooler_before
from tests.stress.readers import LiteralReader, PollingReader, ProductReader
from tests.stress.writers import SCHEMA, start_writers

SERVER = {**FAST_AND_FORGETFUL, "max_prepared_transactions": "100", "max_connections": "100"}
PLAIN_ROLE = "stress_reader"
"""May read the table and nothing else: its horizon comes from pg_locks."""
POOLED_SESSIONS = 24
"""Server sessions for each role: fewer than its clients, so that they take turns."""


@dataclass(frozen=True)
class Dsn:
    """Settings as Source wants them."""

    text: str
    copy: CopyMode = CopyMode.AUTO

    def conninfo(self) -> str:
        return self.text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000)
    parser.add_argument("--max-skew", type=float, default=0.5, help="seconds; the product's default is 10")
    parser.add_argument(
        "--own-clock",
        action="store_true",
        help="timestamps are the application's, older than their transactions",
    )
    parser.add_argument("--dsn", help="a server to use (its table s is dropped) instead of an embedded one")
    parser.add_argument(
        "--pooled", action="store_true", help="readers and writers share sessions by pgbouncer"
    )
    given = parser.parse_args(argv)
    with server(given.dsn, pooled=given.pooled) as (direct, dsn):
        prepare(direct)
        source, readers = stress(dsn, given)
    return verdict(source, readers, given)


@contextlib.contextmanager
def server(dsn: str | None, *, pooled: bool = False) -> Iterator[tuple[str, str]]:
    """Two connection strings of one database: the first without a pooler in between."""
    if dsn is not None:
        yield dsn, dsn
        return
    with tempfile.TemporaryDirectory(prefix="pgsnow-stress-") as directory:
        Path(directory).chmod(0o711)
        with EmbeddedPostgres(Path(directory) / "postgres", config=SERVER) as embedded:
            direct = embedded.dsn()
            if not pooled:
                yield direct, direct
                return
            with pooler_before(embedded, ["postgres", PLAIN_ROLE], POOLED_SESSIONS) as pooler:
                yield direct, pooler.dsn(direct)


def prepare(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as admin:
        for (gid,) in admin.execute(
            "select gid from pg_prepared_xacts where database = current_database()"
        ).fetchall():
            admin.execute(f"rollback prepared '{gid}'")
        admin.execute(SCHEMA)
        if not admin.execute("select from pg_roles where rolname = %s", [PLAIN_ROLE]).fetchall():
            admin.execute(f"create role {PLAIN_ROLE} login")
        admin.execute(f"grant select on s to {PLAIN_ROLE}")


def stress(dsn: str, given: argparse.Namespace) -> tuple[dict[int, int], list[PollingReader]]:
    readers = (late_readers if given.own_clock else make_readers)(dsn, given.max_skew)
    stop = threading.Event()
    followers = [threading.Thread(target=reader.follow, args=[stop]) for reader in readers]
    for follower in followers:
        follower.start()
    started = start_writers(
        dsn, given.writers, given.seed, given.seconds, pooled=given.pooled, own_clock=given.own_clock
    )
    for process in started:
        process.join()
    stop.set()
    for follower in followers:
        follower.join()
    with psycopg.connect(dsn) as admin:
        return dict(admin.execute("select id, v from s").fetchall()), readers


def make_readers(dsn: str, max_skew: float) -> list[PollingReader]:
    plain = make_conninfo(dsn, user=PLAIN_ROLE)

    def product(name: str, dsn: str = dsn, mode: ReadMode | None = None, **options: Any) -> ProductReader:
        source = Source(Dsn(dsn))
        plan = plan_of(source, {"max_skew": max_skew, "batch_size": 500, **options})
        return ProductReader(name, True, source=source, plan=plan, mode=mode)

    return [
        product("lossless: timestamptz"),
        product("lossless: timestamp, writers in four zones", watermark_column="updated_local"),
        product("lossless: integer from a sequence", watermark_column="change"),
        product("lossless: timestamptz, role without grants", dsn=plain),
        product("lossless: xmin mode", mode=ReadMode.XMIN),
        LiteralReader("plain query: updated_at > last, limit 500", False, dsn=dsn),
    ]


def late_readers(dsn: str, max_skew: float) -> list[PollingReader]:
    """Readers of timestamps that the application sets: an audit every few seconds finds what a read missed."""

    def audited(name: str, dsn: str = dsn, **options: Any) -> ProductReader:
        source = Source(Dsn(dsn))
        plan = plan_of(source, {"max_skew": max_skew, "audit_every": 3, **options})
        return ProductReader(name, True, source=source, plan=plan, audits=True)

    return [
        audited("audited: timestamptz"),
        audited("audited: timestamptz, role without grants", dsn=make_conninfo(dsn, user=PLAIN_ROLE)),
        audited("audited: an audit with each read", audit_every=0.001),
        LiteralReader("plain query: updated_at > last, limit 500", False, dsn=dsn),
    ]


def plan_of(source: Source, options: dict[str, Any]) -> TablePlan:
    settings = {"source": "public.s", "target": "s", "pk": ["id"], "watermark_column": "updated_at"}
    config = TableConfig(**{**settings, **options})
    with source.connect() as conn:
        table = describe(conn, config.source)
    fields = fields_of(config, table)
    return TablePlan(
        config,
        table,
        TargetName("D", "S", "S"),
        fields,
        fields,
        watermark_of(config, table),
        key_of(config, table),
    )


def verdict(source: dict[int, int], readers: Sequence[PollingReader], given: argparse.Namespace) -> int:
    print(f"{len(source)} rows, {given.seconds:g} s, {given.writers} writers, seed {given.seed}, "
          f"max_skew {given.max_skew:g} s{', pooled' if given.pooled else ''}")  # fmt: skip
    print(
        f"{'reader':45} {'reads':>6} {'rows read':>10} {'missing':>8} {'stale':>6} {'ghost':>6} {'false alarms':>13}"
        f" {'findings':>9}"
    )
    good = True
    for reader in readers:
        missing = sum(key not in reader.copy for key in source)
        stale = sum(reader.copy.get(key, value) != value for key, value in source.items())
        ghost = sum(key not in source for key in reader.copy)
        print(f"{reader.name:45} {reader.runs:6} {reader.rows / max(len(source), 1):9.2f}x {missing:8} {stale:6} "
              f"{ghost:6} {reader.false_alarms:13} {reader.findings:9}")  # fmt: skip
        if reader.failure:
            print(reader.failure, file=sys.stderr)
        clean = missing + stale + ghost + reader.false_alarms == 0
        good &= not reader.failure and (clean if reader.lossless else missing + stale > 0)
    print("verdict:", "lossless" if good else "NOT as it must be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
