"""Cost of finding five deleted rows: `python -m benchmarks.compare [ROWS]`, by default 5,000,000.

The target holds every row, the source five fewer. Source and target are compared by ranges of the key: a bigint, and a
uuid (loaded as text, ordered and hashed as such). Prints for each the CPU seconds of the Postgres backend per million
rows (median of three comparisons; the same for `select count(*)` in the same session, and the ratio), the seconds, the
rows of ranges and the keys that came over the wire from each side, and the statements to Snowflake. The bigint table
has 200 bytes a row, as a table whose rows are not read by the comparison.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL

from benchmarks.figures import Figures
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.model.plan import TablePlan, fields_of
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import SourceName, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres import sql
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide, TargetSide

ROUNDS = 3
DELETED = 5
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PARTS = "SUBSTR(H, 1, 8), SUBSTR(H, 9, 4), SUBSTR(H, 13, 4), SUBSTR(H, 17, 4), SUBSTR(H, 21, 12)"
KEYS = {
    "bigint": ("g", "NUMBER(38,0)", "N"),
    "uuid": ("md5(g::text)::uuid", "VARCHAR", f"CONCAT_WS('-', {_PARTS})"),
}
"""Type of the key → the g-th key in Postgres, its type in Snowflake, and the N-th key there."""


def make(conn: psycopg.Connection[Any], session: Session, kind: str, rows: int) -> None:
    """The table in both databases, with the same keys, and then without five of them in Postgres."""
    key, target, same = KEYS[kind]
    conn.execute(f"create table by_{kind} (id {kind} primary key, v text)".encode())
    conn.execute(
        f"insert into by_{kind} select {key}, repeat('x', 160) from generate_series(1, {rows}) g".encode()
    )
    gone = ", ".join(str(rows * part // DELETED - rows // 7) for part in range(1, DELETED + 1))
    conn.execute(f"delete from by_{kind} where id in (select {key} from unnest(array[{gone}]) g)".encode())
    conn.execute(f"vacuum (analyze) by_{kind}".encode())
    numbers = f"SELECT SEQ4() + 1 AS N FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
    session.execute(f'CREATE TABLE "BY_{kind.upper()}" ("ID" {target} NOT NULL)')
    session.execute(
        f'INSERT INTO "BY_{kind.upper()}" SELECT {same} FROM (SELECT N, MD5(TO_VARCHAR(N)) AS H FROM ({numbers}))'
    )


def planned(conn: psycopg.Connection[Any], settings: Settings, kind: str) -> TablePlan:
    """The plan of the table as `mode: full` has it; the mode plays no part in a comparison."""
    table = describe(conn, SourceName("public", f"by_{kind}"))
    config = TableConfig(source=table.name, target=f"by_{kind}", mode=TableMode.FULL)
    fields = fields_of(config, table)
    target = TargetName(settings.snowflake.database, "PUBLIC", f"BY_{kind.upper()}")
    return TablePlan(config, table, target, fields, fields, None, key_of(config, table))


def backend_cpu(snap: Snapshot) -> float:
    """CPU seconds so far of the snapshot's server process."""
    ((pid,),) = snap.fetch(SQL("select pg_backend_pid()"))
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / TICKS_A_SECOND


def measure(source: Source, session: Session, plan: TablePlan, rows: int) -> dict[str, float]:
    with source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        snap.connection.run("set local max_parallel_workers_per_gather = 0")
        before = backend_cpu(snap)
        snap.fetch(SQL("select count(*) from {}").format(sql.table(plan)))
        counted, began = backend_cpu(snap), time.monotonic()
        there, here = SourceSide(snap, plan), TargetSide(session, plan)
        result = compare(there, here, plan, first_ranges(there, plan))
        found = list(result)
        seconds, done = time.monotonic() - began, backend_cpu(snap)
    if len(found) != DELETED:
        raise SystemExit(f"{len(found)} differences instead of {DELETED}")
    counts = result.counts
    return {
        "cpu_per_million": (done - counted) / rows * 1e6,
        "count_cpu_per_million": (counted - before) / rows * 1e6,
        "seconds": seconds,
        "range_rows": counts.ranges,
        "keys": counts.keys_read // 2,
        "levels": counts.levels,
        "source_statements": there.statements,
        "target_statements": here.statements,
    }


def main(rows: int) -> None:
    figures = Figures()
    figures.forget({"compare"})
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        settings = Settings.from_env(stack.env())
        source = Source(settings.source)
        with (
            psycopg.connect(settings.source.conninfo(), autocommit=True) as owner,
            connect(settings.snowflake, query_tag="benchmark") as session,
            source.connect() as conn,
        ):
            for kind in KEYS:
                make(owner, session, kind, rows)
                plan = planned(conn, settings, kind)
                runs = [measure(source, session, plan, rows) for _ in range(ROUNDS)]
                median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
                ratio = median["cpu_per_million"] / max(median["count_cpu_per_million"], 0.001)
                figures.add("compare", key=kind, rows=rows, ratio_to_count=ratio, **median)
        source.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)
