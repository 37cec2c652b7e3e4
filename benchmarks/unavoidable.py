"""Measures the work of a first load that no tool can avoid: Postgres sends the rows, the emulator receives and copies
files.

The former is `COPY … TO STDOUT (FORMAT binary)` with psql into /dev/null. The latter is PUT and COPY by the plain
connector, of part files that pgsnow has written before, into a table of plain columns (JSON as text).
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.emulator import Emulator
from benchmarks.figures import Figures
from benchmarks.peers.contestant import DATABASE
from benchmarks.process_tree import cpu_of
from benchmarks.read_ways import NO_LEDGER, Dsn
from benchmarks.tables import plan_of
from benchmarks.target import cursor, wake
from benchmarks.users import Source
from pgsnow.ledger.claim import Claim
from pgsnow.postgres.connection import Source as Postgres
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.read.reader import open_reader
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter, PageStream
from pgsnow.sync.pipeline.rejected_rows import RejectedRows
from pgsnow.sync.pipeline.spool import Spool
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.transform.transform import build_transform

COLUMNS = """
ID NUMBER(19,0), EMAIL VARCHAR, NAME VARCHAR, BALANCE NUMBER(18,4), IS_ACTIVE BOOLEAN, PROFILE VARCHAR, TAGS VARCHAR,
CREATED_AT TIMESTAMP_TZ, UPDATED_AT TIMESTAMP_TZ
"""
COPY = "copy into PARTS from @PARTS file_format = (type = parquet) match_by_column_name = case_insensitive"


def unavoidable(source: Source, number: int, figures: Figures) -> None:
    """Measure one round of all parts."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        source.copy(f"parts{number}") as dsn,
        Emulator(Path(name) / "snowflake") as emulator,
    ):
        seconds = read_floor(dsn)
        figures.add("unavoidable", part="read", wall=seconds)
        files = write_parts(dsn, Path(name))
        emulator.create_database(DATABASE)
        wake(emulator)
        put_and_copy(emulator, files, source.rows, figures)


def read_floor(dsn: str) -> float:
    copy = r"\copy (select * from users) to '/dev/null' with (format binary)"
    began = time.monotonic()
    subprocess.run(["psql", "-X", "-q", "-d", dsn, "-c", copy], check=True)
    return time.monotonic() - began


def write_parts(dsn: str, folder: Path) -> list[Path]:
    """Write the files that pgsnow would stage."""
    source = Postgres(Dsn(dsn))
    with source.connect() as conn:
        plan = plan_of(conn, "users")
        horizon, _ = take_horizon(conn)
        claim = Claim(table="users", run_id="parts", holder="nobody", fence=1, checkpoint=None)
        progress = Recorder("users", "users", "parts", lambda _event: None)
        quarantine = RejectedRows(plan, build_transform(None, plan.fields), NO_LEDGER, claim, progress, conn)
        files: list[Path] = []
        with open_reader(source, plan, None, horizon) as reading, Spool("parts", folder) as spool:
            writer = LoadBatchWriter(plan, 1, spool, quarantine, progress, threading.Event())
            for part in (
                part for unit in writer.batches(PageStream(reading.pages(), progress)) for part in unit.parts
            ):
                files.append(folder / f"part-{len(files)}.parquet")
                files[-1].hardlink_to(part.path)  # the spool reuses its file names for the next load batch
    source.close()
    return files


def put_and_copy(emulator: Emulator, files: list[Path], rows: int, figures: Figures) -> None:
    pid = emulator.pid or 0
    with cursor(emulator) as asked:
        asked.execute(f"create table PARTS ({COLUMNS})")
        asked.execute("create stage PARTS")
        began, used = time.monotonic(), cpu_of(pid)
        for file in files:
            asked.execute(f"put file://{file} @PARTS auto_compress = false parallel = 4")
        put = time.monotonic()
        figures.add("unavoidable", part="put", wall=put - began, emulator_cpu=cpu_of(pid) - used)
        used = cpu_of(pid)
        asked.execute(COPY)
        figures.add("unavoidable", part="copy", wall=time.monotonic() - put, emulator_cpu=cpu_of(pid) - used)
        asked.execute("select count(*) from PARTS")
        if (loaded := asked.fetchone()[0]) != rows:
            raise RuntimeError(f"{loaded} rows were copied instead of {rows}")
