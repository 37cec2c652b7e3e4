"""Measures how fast changes of the log become pages: `python -m benchmarks.log_decode [--rows N] [--rounds N]`.

A table of seven columns, whose changes are asked for over SQL, so that only the decoder is measured, on one core: rows
per CPU second until their values are found in the messages (`found`), and until they are pages, compacted and converted
to the plan's types (`pages`). `source` are seconds of the server for the same messages with values as text, as they are
read, and in binary form, and their megabytes. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of
from pgsnow.model.settings.postgres import PostgresSettings
from pgsnow.model.table import TargetName
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import TEXT_SETTINGS, Source
from pgsnow.postgres.replication.messages import relation_of
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.postgres.replication.values.tuples import raw_changes
from pgsnow.sync.stream.pages import change_pages

TABLE = """create table t (
    id bigint primary key, user_id bigint not null, email text, amount numeric(12,2), active boolean,
    score double precision, updated_at timestamptz not null
)"""
INSERT = """insert into t select g, 1 + g * 31 % 1000000, 'user' || g || '@example.com', (g % 100000)::numeric / 7,
    g % 3 = 0, sqrt(g), timestamptz '2026-01-01Z' + g * interval '1.25 seconds' from generate_series(1, {rows}) g"""
CHANGES = {
    "inserts": [INSERT],
    "updates": ["update t set score = score + 1"],
    "one row": [
        "do $$ begin for turn in 1 .. {rows} / 10 loop update t set score = turn where id = 1; end loop; end $$"
    ],
    "deletes": ["delete from t"],
    "whole old rows": ["alter table t replica identity full", INSERT, "update t set score = score + 1"],
}
IN_A_BLOCK = 20_000
PEEK = "pg_logical_slot_peek_binary_changes('b', null, null, 'proto_version', '1', 'publication_names', 'b'"


@contextmanager
def server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "postgres", config=FAST_AND_FORGETFUL) as running:
            yield running.dsn()


def measure(
    conn: psycopg.Connection[Any], dsn: str, statements: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Run the statements, and decode what the log has of them."""
    for statement in statements:
        conn.execute(statement.encode())
    plan, source = plan_of(conn), Source(PostgresSettings.from_dsn(dsn))
    sent = {form: sent_by(conn, form) for form in ("text", "binary")}
    messages = [bytes(data) for (data,) in conn.execute(f"select data from {PEEK})".encode(), binary=True)]
    blocks = [*blocks_of(messages)]
    conn.execute("select pg_replication_slot_advance('b', pg_current_wal_flush_lsn())")
    count, names = sum(len(block.lengths) for block in blocks), [field.source for field in plan.fields]
    found = fastest(lambda: [raw_changes(block, names) for block in blocks], rounds)
    pages = fastest(lambda: [page.commits for page in change_pages(blocks, plan, source)], rounds)
    source.close()
    return {"changes": count, "found": round(count / found), "pages": round(count / pages), "source": sent}


def sent_by(conn: psycopg.Connection[Any], form: str) -> dict[str, float]:
    """Seconds of the server and megabytes of messages with values in this form."""
    more = ", 'binary', 'true'" if form == "binary" else ""
    began = time.monotonic()
    ((size,),) = conn.execute(f"select sum(length(data)) from {PEEK}{more})".encode()).fetchall()
    return {"seconds": round(time.monotonic() - began, 2), "mb": round(int(size) / 1e6, 1)}


def fastest(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest round."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def plan_of(conn: psycopg.Connection[Any]) -> TablePlan:
    config = TableConfig(source="public.t", target="t", pk=["id"], watermark_column="updated_at")  # type: ignore[arg-type]
    table = describe(conn, config.source)
    fields = fields_of(config, table)
    return TablePlan(config, table, TargetName("D", "S", "T"), fields, fields, None, ("id",))


def blocks_of(messages: Sequence[bytes]) -> Iterator[ChangeBlock]:
    relation = next(relation_of(memoryview(one), 1) for one in reversed(messages) if one[:1] == b"R")
    changes = [one for one in messages if one[:1] in b"IUD"]
    for at in range(0, len(changes), IN_A_BLOCK):
        some = changes[at : at + IN_A_BLOCK]
        lengths = np.array([len(message) for message in some], np.int64)
        yield ChangeBlock(relation, memoryview(b"".join(some)), lengths, np.full(len(some), 1, np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with server() as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set synchronous_commit = on")
        for name, value in TEXT_SETTINGS.items():
            conn.execute(f"set {name} = '{value}'".encode())
        conn.execute(TABLE)
        conn.execute("create publication b for table t")
        conn.execute("select pg_create_logical_replication_slot('b', 'pgoutput')")
        for kind, statements in CHANGES.items():
            filled = [statement.replace("{rows}", str(args.rows)) for statement in statements]
            print(json.dumps({"kind": kind, **measure(conn, dsn, filled, args.rounds)}), flush=True)


if __name__ == "__main__":
    main()
