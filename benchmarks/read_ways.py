"""Reads a whole table in one way, in its own process: `python -m benchmarks.read_ways WAY DSN TABLE`.

Prints JSON: seconds, client_cpu, server_cpu (seconds of the backend that read), rss_mb, and further figures of the way.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings.postgres import CopyMode
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.read.reader import open_reader
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.transform.transform import build_transform

STAT = "select pg_read_file('/proc/self/stat')"
Told = dict[str, Any]


class Dsn:
    copy = CopyMode.AUTO

    def __init__(self, text: str) -> None:
        self._text = text

    def conninfo(self) -> str:
        return self._text


def server_seconds(stat: str) -> float:
    """CPU seconds, user and system, from /proc/<pid>/stat (man 5 proc: fields 14 and 15)."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def floor(dsn: str, table: str) -> Told:
    """psql's binary COPY, written to /dev/null."""
    copy = f"\\copy (select * from {table}) to '/dev/null' with (format binary)"
    began = time.monotonic()
    asked = ["psql", "-X", "-At", "-q", "-d", dsn, "-c", STAT, "-c", copy, "-c", STAT]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    before, after = [line for line in told.splitlines() if ")" in line]
    took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": took,
        "client_cpu": used.ru_utime + used.ru_stime,
        "server_cpu": server_seconds(after) - server_seconds(before),
        "rss_mb": used.ru_maxrss / 1024,
    }


def decoder(dsn: str, table: str) -> Told:
    """pgsnow's decoder alone: its batches are discarded."""
    source = Source(Dsn(dsn))

    def drain() -> Told:
        rows = 0
        with (
            source.copy_connection() as connection,
            connection.stream(f"select * from {table}") as (reader, _cancel),
        ):
            for batch in reader:
                rows += batch.num_rows
        return {"rows": rows}

    return measured(source, drain)


def product(dsn: str, table: str) -> Told:
    """pgsnow's first read up to finished part files, without loading them."""
    from benchmarks.tables import plan_of

    source = Source(Dsn(dsn))
    with source.connect() as conn, tempfile.TemporaryDirectory() as folder:
        plan = plan_of(conn, table)
        return measured(source, lambda: read_to_files(source, conn, plan, Path(folder)))


def read_to_files(
    source: Source,
    conn: psycopg.Connection,
    plan: TablePlan,
    folder: Path,
    before: Checkpoint | None = None,
) -> Told:
    """Write the rows since the checkpoint `before` (None: all) into part files. The result has the next `checkpoint`,
    too."""
    horizon, _ = take_horizon(conn)
    with open_reader(source, plan, before, horizon) as reading:
        told = into_files(conn, plan, folder, reading.pages(), before)
        return told | {"checkpoint": reading.checkpoint()}


def into_files(
    conn: psycopg.Connection,
    plan: TablePlan,
    folder: Path,
    pages: Iterable[Page],
    before: Checkpoint | None = None,
) -> Told:
    """Transform pages and write them into part files."""
    claim = Claim(table="t", run_id="r", holder="h", fence=1, checkpoint=before)
    progress = Recorder("t", "t", "r", lambda _event: None)
    quarantine = RejectedRows(plan, build_transform(None, plan.fields), NO_LEDGER, claim, progress, conn)
    rows = size = 0
    with Spool("r", folder) as spool:
        writer = LoadBatchWriter(plan, 1, spool, quarantine, progress, threading.Event())
        for unit in writer.batches(PageStream(pages, progress)):
            rows += unit.rows
            size += unit.size
    phases = {phase: round(seconds, 2) for phase, seconds in progress.phases.items()}
    return {"rows": rows, "mb": round(size / 1e6, 1), "phases": phases}


class _NoLedger:
    """Stands for the ledger, to which nothing is written, because no row is rejected here."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"a row was rejected: {name}")


NO_LEDGER: Any = _NoLedger()


def measured(source: Source, work: Callable[[], Told]) -> Told:
    """The figures of one way, on a connection that is open already, as in a warm worker."""
    with source.copy_connection() as connection:
        ((before,),) = connection.rows(STAT)
    used, began = cpu(), time.monotonic()
    told = work()
    took, used = time.monotonic() - began, cpu() - used
    with source.copy_connection() as connection:
        ((after,),) = connection.rows(STAT)
    source.close()
    return {
        "seconds": took,
        "client_cpu": used,
        "server_cpu": server_seconds(after) - server_seconds(before),
        "rss_mb": rss_mb(),
        **told,
    }


def rss_mb() -> float:
    """Peak resident memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


WAYS = {"floor": floor, "decoder": decoder, "product": product}

if __name__ == "__main__":
    way, dsn, table = sys.argv[1:]
    told = WAYS[way](dsn, table)
    told.pop("checkpoint", None)
    print(json.dumps(told))
