"""Reads a table in two halves by ctid over two connections into part files, like two chunks of a backfill.

In two threads of one process, or in two processes, each with a connection that is open already. For
benchmarks.read_half; `python -m benchmarks.read_halves WAY DSN TABLE` prints JSON as benchmarks.read_ways does;
`half DSN TABLE FIRST END` reads one half in its own process, which starts when it gets a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg

from benchmarks.read_ways import STAT, Dsn, Told, cpu, into_files, rss_mb, server_seconds
from pgsnow.model.backfill import Blocks
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.chunk_reader import read_chunk


class Half:
    """One half of the table, with its own connection."""

    def __init__(self, dsn: str, plan: TablePlan, blocks: Blocks) -> None:
        self._source = Source(Dsn(dsn))
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._plan = plan
        self._blocks = blocks
        self._server_before = self._server()

    def _server(self) -> float:
        with self._source.copy_connection() as connection:
            ((stat,),) = connection.rows(STAT)
        return server_seconds(stat)

    def read(self) -> Told:
        with tempfile.TemporaryDirectory() as folder:
            pages = read_chunk(self._source, self._plan, self._blocks, None)
            with closing(pages):
                told = into_files(self._conn, self._plan, Path(folder), pages)
        return told | {"server_cpu": self._server() - self._server_before}

    def close(self) -> None:
        self._conn.close()
        self._source.close()


def halves(dsn: str, table: str) -> tuple[TablePlan, tuple[Blocks, Blocks]]:
    from benchmarks.tables import plan_of

    size = "select pg_relation_size(%s::regclass) / current_setting('block_size')::int / 2"
    with Source(Dsn(dsn)).connect() as conn:
        ((middle,),) = conn.execute(size, [table]).fetchall()
        return plan_of(conn, table), (Blocks(0, middle), Blocks(middle, None))


def threads(dsn: str, table: str) -> Told:
    """Both halves in this process."""
    plan, both = halves(dsn, table)
    with ExitStack() as ends, ThreadPoolExecutor(len(both)) as pool:
        ready = [Half(dsn, plan, blocks) for blocks in both]
        for half in ready:
            ends.callback(half.close)
        used, began = cpu(), time.monotonic()
        told = list(pool.map(Half.read, ready))
        took, used = time.monotonic() - began, cpu() - used
    return {"seconds": took, "client_cpu": used, "rss_mb": rss_mb(), **_together(told, "rows", "server_cpu")}


def processes(dsn: str, table: str) -> Told:
    """Each half in its own process; memory is the sum of both."""
    _, both = halves(dsn, table)
    children = [_child(dsn, table, blocks) for blocks in both]
    for child in children:
        _line(child)
    began = time.monotonic()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [json.loads(_line(child)) for child in children]
    took = time.monotonic() - began
    for child in children:
        child.communicate()
    return {"seconds": took, **_together(told, "client_cpu", "rss_mb", "rows", "server_cpu")}


def _child(dsn: str, table: str, blocks: Blocks) -> subprocess.Popen[str]:
    asked = [
        sys.executable,
        "-m",
        "benchmarks.read_halves",
        "half",
        dsn,
        table,
        str(blocks.first),
        str(blocks.end or ""),
    ]
    return subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    if not (line := child.stdout.readline()):
        raise SystemExit(f"a half ended with {child.wait()}")
    return line


def _together(told: list[Told], *figures: str) -> Told:
    return {figure: sum(half[figure] for half in told) for figure in figures}


def half(dsn: str, table: str, first: str, end: str) -> None:
    plan, _ = halves(dsn, table)
    with closing(Half(dsn, plan, Blocks(int(first), int(end) if end else None))) as one:
        print("ready", flush=True)
        sys.stdin.readline()
        used = cpu()
        told = one.read()
        print(json.dumps({**told, "client_cpu": cpu() - used, "rss_mb": rss_mb()}), flush=True)


HALVES = {"threads": threads, "processes": processes}

if __name__ == "__main__":
    way, *given = sys.argv[1:]
    if way == "half":
        half(*given)
    else:
        print(json.dumps(HALVES[way](*given)))
