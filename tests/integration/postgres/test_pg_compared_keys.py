"""What the source's side of a comparison costs the server: the parts of an index that are asked for, without a sort,
and in any encoding and collation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.model.key_range import Key, KeyRange
from pgsnow.model.plan import TablePlan, fields_of
from pgsnow.model.table import SourceName, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.compare import digests as queries
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.compare.ranges import between, first_ranges
from pgsnow.sync.compare.sides import SourceSide
from tests.integration.postgres.lab import Dsn, Lab


@contextmanager
def side(lab: Lab, name: str, **options: Any) -> Iterator[SourceSide]:
    """The source's side of a comparison of this table."""
    with Source(Dsn(lab.dsn)).connect() as conn:
        plan = planned(conn, name, **options)
    with lab.source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        yield SourceSide(snap, plan)


def planned(conn: psycopg.Connection[Any], name: str, **options: Any) -> TablePlan:
    table = describe(conn, SourceName.parse(name))
    config = TableConfig(source=table.name, target=name, mode=TableMode.FULL, **options)
    fields = fields_of(config, table)
    key = key_of(config, table)
    return TablePlan(config, table, TargetName("D", "S", name.upper()), fields, fields, None, key)


def explained(source: SourceSide, query: Any) -> str:
    """The plan of a query under the settings of a comparison of parts of an index."""
    source._snap.connection.run("; ".join(queries.INDEX_SCAN))
    return "\n".join(str(line) for (line,) in source._snap.fetch(SQL("explain {}").format(query)))


KEYS: dict[str, tuple[str, str, list[Key]]] = {
    "by_number": ("id int8 primary key", "g", [("100",), ("200",), ("300",), ("400",)]),
    "by_uuid": (
        "id uuid primary key",
        "md5(g::text)::uuid",
        [(f"{at}0000000-0000-0000-0000-000000000000",) for at in (2, 4, 6, 8)],
    ),
    "by_text": ('id text collate "C" primary key', "md5(g::text)", [("2",), ("4",), ("6",), ("8",)]),
    "by_both": (
        "a int, id text, primary key (a, id)",
        "g % 7, g::text",
        [("1", "x"), ("2", ""), ("4", ""), ("5", "a")],
    ),
    "by_day": ("id date primary key", "date '2000-01-01' + g", [(f"200{at}-01-01",) for at in range(4)]),
}


@pytest.mark.parametrize("name", KEYS)
def test_deeper_levels_read_the_unequal_parts_of_an_index_alone(lab: Lab, name: str) -> None:
    """Without statistics, as after a restore: no scan of the table, no bitmap, no sort of rows."""
    columns, values, bounds = KEYS[name]
    lab.run(
        f"create table {name} ({columns}, v text)",
        f"insert into {name} select {values}, repeat('x', 200) from generate_series(1, 500) g",
    )
    ranges = between(bounds)
    with side(lab, name) as source:
        assert source.ordered
        parts = [ranges[1], ranges[2], ranges[4]]
        plan = explained(source, queries.digests(source._keys, parts))
        assert plan.count("Index Only Scan") + plan.count("Index Scan") == 2, plan
        assert plan.count("Index Cond") == 2
        assert not [word for word in ("Seq Scan", "Bitmap", "Sort") if word in plan], plan
        assert "Sort" not in explained(source, queries.bounds(source._keys, parts, [10, 10, 10]))
        assert sum(digest.rows for digest in source.digests(ranges)) == 500
        assert sum(1 for _ in source.rows(ranges)) == 500


def test_a_key_whose_order_no_index_has_costs_one_scan_a_level(lab: Lab) -> None:
    lab.run(
        "create table by_place (id text not null)",
        'create unique index on by_place (id collate "POSIX")',  # stands for any collation but the column's
        "insert into by_place select case g % 2 when 0 then 'a' else 'B' end || g from generate_series(1, 500) g",
    )
    ranges = between([("B",), ("a",), ("a3",)])
    with side(lab, "by_place") as source:
        assert not source.ordered
        plan = explained(source, queries.digests(source._keys, [ranges[1], ranges[3]]))
        assert plan.count("Scan") == 1, plan
        found = source.digests(ranges)
        assert [digest.rows for digest in found] == [0, 250, 111, 139]
        assert [sum(1 for _ in source.rows([one])) for one in ranges] == [0, 250, 111, 139]


def test_conditions_partitions_and_missing_keys(lab: Lab) -> None:
    """Only rows that `where` admits and that have a key are counted, those of all partitions."""
    lab.run(
        "create table tree (id int, kind text) partition by range (id)",
        "create table tree_1 partition of tree for values from (0) to (50)",
        "create table tree_2 partition of tree default",
        "create unique index on tree (id)",
        "insert into tree select g, 'k' from generate_series(1, 100) g",
        "insert into tree values (null, 'k'), (200, 'other')",
    )
    with side(lab, "tree", pk=["id"], where="kind = 'k' -- only these") as source:
        assert source.ordered
        assert [d.rows for d in source.digests(between([("50",)]))] == [49, 51]
        assert [d.rows for d in source.digests([KeyRange(None, ("50",)), KeyRange(("90",), None)])] == [
            49,
            11,
        ]
        assert len(list(source.rows([KeyRange(("99",), None)]))) == 2
        assert source.bounds([KeyRange()], [100], 4) == [[("26",), ("51",), ("76",)]]


def test_a_limited_table_is_counted_slowly(lab: Lab) -> None:
    """`max_mb_per_s` holds for comparisons, too: one range at a time, and pauses between them."""
    lab.run("create table slow (id int primary key)", "insert into slow select generate_series(1, 1000)")
    with side(lab, "slow", max_mb_per_s=1) as source:
        ranges = between([("500",)])
        assert [digest.rows for digest in source.digests(ranges)] == [499, 501]
        assert source.statements == 3  # one looks at the key


def test_the_sample_of_a_large_table_gives_bounds_of_the_whole(lab: Lab) -> None:
    lab.run(
        "create table many (id uuid primary key, v text)",
        "insert into many select md5(g::text)::uuid, repeat('x', 100) from generate_series(1, 30000) g",
        "analyze many",
    )
    with side(lab, "many") as source:
        found, bounds = source.sampled(50.0, 10)
        assert 0 < found < 30_000
        assert len(bounds) == 9
        assert bounds == sorted(bounds)
        rows = [digest.rows for digest in source.digests(between(bounds))]
        assert sum(rows) == 30_000
        assert max(rows) < 10_000
        ranges = first_ranges(source, source._plan, 300_000)
        assert len(ranges) == 5
        assert (ranges[0].first, ranges[-1].end) == (None, None)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_texts_are_ordered_and_hashed_by_their_bytes_in_utf8(
    postgres: EmbeddedPostgres, encoding: str
) -> None:
    """In a database of another encoding, whose own order of texts is another one."""
    words = ["a", "é" if encoding != "EUC_JP" else "日", "Z", "~", "z"]
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0".encode())
    try:
        lab = Lab(postgres.dsn(name))
        utf8 = Lab(postgres.dsn())
        utf8.run("drop table if exists words", 'create table words (id text collate "C" primary key)')
        lab.run("create table words (id text primary key)")
        for one in (lab, utf8):
            one.admin.execute("set client_encoding = 'UTF8'")
            for word in words:
                one.run(f"insert into words values ('{word}')")
        ranges = between([("Z",), ("z",), ("~",), (words[1],)])
        with side(lab, "words") as here, side(utf8, "words") as there:
            assert here.digests(ranges) == there.digests(ranges)
            assert [digest.rows for digest in here.digests(ranges)] == [0, 2, 1, 1, 1]
            assert sorted(here.rows(ranges)) == sorted(there.rows(ranges))
            assert here.bounds([KeyRange()], [5], 5) == there.bounds([KeyRange()], [5], 5)
        utf8.run("drop table words")
        lab.source.close()
        utf8.source.close()
        lab.admin.close()
        utf8.admin.close()
    finally:
        with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
            admin.execute(f"drop database {name} with (force)".encode())
