"""Measures what it costs to read the log: `python -m benchmarks.log_read [--rows N] [--commits N] [--rounds N]`.

One server with a table of 7 columns; commits of one row, commits of ten rows, and one large transaction. Each way reads
the same log in its own process, alternating: `discarded` takes the messages of a replication session and forgets them,
which is the floor; `session` and `peek` sort and spool them as `mode: log` does. `server CPU` is that of the process
that decodes the log. Prints medians as Markdown. On a busy machine rely on the CPU seconds, not on wall-clock times.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.process_tree import TICKS
from benchmarks.read_half import server
from pgsnow.model.log.lsn import parse_lsn
from pgsnow.model.settings.postgres import PostgresSettings
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication import messages as m
from pgsnow.postgres.replication.connection import LogSource, end_copy, send_status
from pgsnow.postgres.replication.peek import LogPeek
from pgsnow.postgres.replication.reading import LogBudget
from pgsnow.postgres.replication.session import open_session

SLOT, PUBLICATION = "bench", "bench"
EVERYTHING = LogBudget(size=1 << 50, seconds=1e9)
SPOOL = 1 << 40
FIGURES = ("seconds", "client_cpu", "server_cpu", "rss_mb", "spooled_mb", "source_spill_mb")
TABLE = """create table t (id bigint primary key, name text, kind int, amount numeric, at timestamptz, flag bool,
    ratio float8)"""
ROWS = "select g, md5(g::text), g % 1000, g * 1.5, now(), true, g / 3.0 from generate_series({}, {}) g"


def make(admin: psycopg.Connection[Any]) -> None:
    admin.execute(TABLE.encode())
    admin.execute(
        "create procedure commits(first int, last int, size int) language plpgsql as $$ declare n int; begin"
        " for n in select * from generate_series(first, last, size) loop insert into t"
        f" {ROWS.format('n', 'n + size - 1')}; commit; end loop; end $$".encode()
    )
    admin.execute(f"create publication {PUBLICATION} for table t".encode())


def cases(rows: int, commits: int) -> Iterator[tuple[str, str]]:
    """Name of each case, and the statement that writes its log."""
    yield f"{commits:,} commits of 1 row", f"call commits(1, {commits}, 1)"
    yield f"{commits // 5:,} commits of 10 rows", f"call commits({10**8 + 1}, {10**8 + 2 * commits}, 10)"
    yield f"1 commit of {rows:,} rows", f"insert into t {ROWS.format(2 * 10**8, 2 * 10**8 + rows - 1)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=sorted(WAYS), default=list(WAYS))
    parser.add_argument("--once", nargs=3, metavar=("WAY", "DSN", "UNTIL"))
    given = parser.parse_args()
    if given.once:
        way, dsn, until = given.once
        print(json.dumps(once(way, dsn, parse_lsn(until))))
        return
    with server() as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        make(admin)
        admin.execute("set synchronous_commit = on")
        for case, statement in cases(given.rows, given.commits):
            admin.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [SLOT])
            admin.execute(statement.encode())
            show(case, measured(given.ways, dsn, admin, given.rounds))
            admin.execute("select pg_drop_replication_slot(%s)", [SLOT])


def measured(
    ways: Sequence[str], dsn: str, admin: psycopg.Connection[Any], rounds: int
) -> dict[str, dict[str, float]]:
    """Medians of the figures of each way."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    until = value(admin, "select pg_current_wal_flush_lsn()::text")
    for way in list(ways) * rounds:
        spilled = spill(admin)
        command = [sys.executable, "-m", "benchmarks.log_read", "--once", way, dsn, until]
        out = subprocess.run(command, capture_output=True, text=True)
        if out.returncode != 0:
            raise SystemExit(out.stderr)
        runs[way].append({**json.loads(out.stdout), "source_spill_mb": (spill(admin) - spilled) / 2**20})
    return {
        way: {
            "messages": found[0]["messages"],
            **{f: statistics.median(run[f] for run in found) for f in FIGURES},
        }
        for way, found in runs.items()
    }


def spill(admin: psycopg.Connection[Any]) -> int:
    """Bytes that the server has written to disk while it decoded."""
    admin.execute("select pg_stat_clear_snapshot()")
    return int(value(admin, "select coalesce(max(spill_bytes), 0)::text from pg_stat_replication_slots"))


def value(conn: psycopg.Connection[Any], query: str) -> str:
    ((found,),) = conn.execute(query.encode()).fetchall()
    return str(found)


def once(way: str, dsn: str, until: int) -> dict[str, float]:
    """Read the log to a position in this process; its figures."""
    source = Source(PostgresSettings.from_dsn(dsn))
    log = LogSource(source, SLOT, PUBLICATION)
    with closing(source.connect()) as conn, tempfile.TemporaryDirectory() as folder:
        conn.execute("select 1")
        began, cpu = time.monotonic(), time.process_time()
        found = WAYS[way](log, conn, Path(folder), until)
        return {
            "seconds": time.monotonic() - began,
            "client_cpu": time.process_time() - cpu,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            **found,
        }


def discarded(log: LogSource, conn: psycopg.Connection[Any], _folder: Path, until: int) -> dict[str, float]:
    """Take messages as libpq gives them, until the server says that it is at the end."""
    session = log.start(conn)
    pgconn, count, position = session.pgconn, 0, 0
    while position < until:
        size, message = pgconn.get_copy_data(1)
        if size > 0 and message[0] == m.DATA:
            count += 1
        elif size > 0:
            _, position, _, _ = m.KEEPALIVE_BODY.unpack(message)
        else:
            if not select.select([pgconn.socket], [], [], 0.02)[0]:
                send_status(pgconn, 0, reply=True)
            pgconn.consume_input()
    used = cpu_of(session.info.backend_pid)
    end_copy(pgconn)
    session.close()
    return {"messages": count, "spooled_mb": 0.0, "server_cpu": used}


def in_session(log: LogSource, conn: psycopg.Connection[Any], folder: Path, until: int) -> dict[str, float]:
    """Read as `log_reader: session` does."""
    session = open_session(log, conn, folder=folder, spool_limit=SPOOL)
    reading = session.read(until, EVERYTHING)
    query = "select active_pid::text from pg_replication_slots where slot_name = 'bench'"
    used = cpu_of(int(value(conn, query)))
    session.close()
    return {"messages": reading.messages, "spooled_mb": reading.spilled / 2**20, "server_cpu": used}


def by_peek(log: LogSource, conn: psycopg.Connection[Any], folder: Path, until: int) -> dict[str, float]:
    """Read as `log_reader: peek` does, in one page."""
    pid = int(value(conn, "select pg_backend_pid()::text"))
    reading = LogPeek(log, conn, folder=folder, spool_limit=SPOOL).read(until, EVERYTHING)
    return {"messages": reading.messages, "spooled_mb": reading.spilled / 2**20, "server_cpu": cpu_of(pid)}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def show(case: str, found: dict[str, dict[str, float]]) -> None:
    print(f"\n{case}, {next(iter(found.values()))['messages']:,.0f} messages\n")
    print(
        "| | wall, s | messages/s | client CPU, s | server CPU, s | RSS, MB | spool, MB | spill on the source, MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for way, run in found.items():
        print(
            f"| {way} | {run['seconds']:.2f} | {run['messages'] / run['seconds']:,.0f} | {run['client_cpu']:.2f}"
            f" | {run['server_cpu']:.2f} | {run['rss_mb']:.0f} | {run['spooled_mb']:.0f}"
            f" | {run['source_spill_mb']:.0f} |",
            flush=True,
        )


WAYS: dict[str, Callable[[LogSource, psycopg.Connection[Any], Path, int], dict[str, float]]] = {
    "discarded": discarded,
    "session": in_session,
    "peek": by_peek,
}

if __name__ == "__main__":
    main()
