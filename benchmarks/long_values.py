"""Measures the cost of leaving long values in Postgres: `python -m benchmarks.long_values [ROWS]`.

The same table is read without checks, with a check around each value (as in incremental reads), and without the rows
that may have long values (as in full reads), alternating in one session. Prints the ratios of the server's CPU time for
a narrow table, one of forty texts, and one of documents and arrays, all of them short. (If little is stored out of
line, pgsnow reads without checks.)
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Composable

from benchmarks.read_ways import STAT, Dsn, server_seconds
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of, watermark_of
from pgsnow.model.table import TargetName
from pgsnow.postgres import sql
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.oversize import from_clause, select_list
from pgsnow.postgres.convert.oversize_split import fitting_rows
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot

ROUNDS = 9
TEXTS = [f"c{n}" for n in range(40)]
TABLES = {
    "narrow": ("v text", "'value ' || g"),
    "forty texts": (", ".join(f"{c} text" for c in TEXTS), ", ".join(f"'{c} ' || g" for c in TEXTS)),
    "documents": (
        "j jsonb, k json, a int[]",
        "jsonb_build_object('id', g, 'name', 'user ' || g, 'tags', array['a', 'b']), json_build_object('id', g),"
        " array[g, g + 1, g + 2]",
    ),
}


def plan_of(conn: psycopg.Connection, table: str) -> TablePlan:
    config = TableConfig(source=table, target="t", pk=["id"], watermark_column="updated_at")  # type: ignore[arg-type]
    source = describe(conn, config.source)
    fields = fields_of(config, source)
    pk = ("id",)
    return TablePlan(
        config, source, TargetName("D", "S", "T"), fields, fields, watermark_of(config, source), pk
    )


def seconds(now: Snapshot, columns: Composable, rows: Composable) -> float:
    """Seconds of the server's CPU."""
    before = server_seconds(now.connection.rows(STAT)[0][0])
    for _ in now.batches(SQL("select {} from {}").format(columns, rows)):
        pass
    return server_seconds(now.connection.rows(STAT)[0][0]) - before


def ratios(source: Source, plan: TablePlan) -> dict[str, float]:
    bare = sql.named((sql.value_of(field), field.source) for field in plan.fields)
    ways = {
        "guarded": (select_list(plan, guard=True), from_clause(plan, guard=True)),
        "split": (bare, SQL("{} where {}").format(sql.table(plan), fitting_rows(plan))),
        "bare": (bare, sql.table(plan)),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    with source.copy_connection() as connection, open_snapshot(connection, plan) as now:
        for _ in range(ROUNDS):
            for way, (columns, rows) in ways.items():
                took[way].append(seconds(now, columns, rows))
    medians = {way: statistics.median(times) for way, times in took.items()}
    return {way: round(medians[way] / medians["bare"], 2) for way in ("guarded", "split")}


def main(rows: int = 200_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            source = Source(Dsn(server.dsn()))
            with source.connect() as conn:
                for at, (what, (columns, values)) in enumerate(TABLES.items()):
                    conn.execute(
                        f"create table t{at} (id int primary key, {columns}, updated_at timestamptz default now());"
                        f"insert into t{at} select g, {values} from generate_series(1, {rows}) g"
                    )
                    print(json.dumps({"table": what, **ratios(source, plan_of(conn, f"public.t{at}"))}))
            source.close()


if __name__ == "__main__":
    main(*[int(a) for a in sys.argv[1:]])
