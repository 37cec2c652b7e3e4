"""The usual query beside the demo: what it misses is measured against the source, and nothing else is counted."""

from __future__ import annotations

import psycopg
import pytest

from pgsnow.embedded.demo.usual_query import Missed, TableCopy, UsualQuery
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.config.table_config import TableConfig

TABLE = """
create table public.users (id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp());
insert into public.users (id, name) select n, 'x' from generate_series(1, 100) n;
"""


def users() -> TableConfig:
    entry = {"source": "public.users", "target": "a.users", "pk": "id", "watermark_column": "updated_at"}
    return parse_config({"tables": [entry]}, file="sync_config.yaml", env={}).tables[0]


@pytest.fixture
def source(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TABLE.encode())
    return database


def test_it_reads_what_moves_the_watermark_and_misses_the_rest(source: str) -> None:
    """A transaction that commits late, an update that leaves the watermark alone, and a delete are missed; ordinary
    inserts and updates are not."""
    with (
        psycopg.connect(source, autocommit=True) as reader,
        psycopg.connect(source, autocommit=True) as writer,
        psycopg.connect(source) as late,
    ):
        copy = TableCopy(users())
        copy.read(reader)
        assert copy.missed(reader) == Missed()
        late.execute("insert into public.users (id, name) values (200, 'late'), (201, 'late')")
        writer.execute("insert into public.users (id, name) values (300, 'new')")
        writer.execute("update public.users set name = 'y', updated_at = clock_timestamp() where id <= 5")
        copy.read(reader)
        late.commit()
        writer.execute("update public.users set name = 'silent' where id between 10 and 13")
        writer.execute("delete from public.users where id in (20, 21, 22)")
        copy.read(reader)
        assert copy.missed(reader) == Missed(absent=2, outdated=4, undeleted=3)


def test_its_last_read_comes_after_the_last_commit(source: str) -> None:
    """It is given every chance: rows that one more read would find are not counted as missed."""
    usual = UsualQuery(source, [users()], interval=3600.0)
    usual.start()
    with psycopg.connect(source, autocommit=True) as writer:
        writer.execute("insert into public.users (id, name) values (300, 'new')")
    assert usual.missed() == {"public.users": Missed()}
    usual.stop()
