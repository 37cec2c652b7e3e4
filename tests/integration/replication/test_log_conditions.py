"""Rows of the log that only the source can judge or complete: `where:`, and generated columns."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.sql import Composable

from pgsnow.model.errors import LogUnusable
from pgsnow.postgres.replication.values.row_condition import why_not_of_row
from pgsnow.sync.stream.pages import change_pages
from tests.integration.postgres.lab import Lab
from tests.integration.replication.log_lab import LogLab
from tests.integration.replication.target_rows import TargetRows

XMIN: dict[str, Any] = {"mode": "xmin", "watermark_column": None}


def test_rows_that_do_not_meet_where_count_as_deleted(log: LogLab) -> None:
    """Whatever the condition is: a row that no longer meets it leaves, one that meets it from now on comes whole, and a
    column need not be loaded to be asked about."""
    lab = log.lab
    lab.run(
        'create table t (id int primary key, v text, "Kind" text, at timestamptz, tags text[], hidden numeric)',
    )
    condition = """t."Kind" in ('a', 'b') and lower(v) <> 'x' and at < '2026-02-01' and not tags @> '{off}'
        and hidden > 1 -- all of these"""
    plan = lab.plan(where=condition, columns={"exclude": ["hidden"]}, **XMIN)
    target = TargetRows(plan)
    lab.run(
        "insert into t select n, 'v' || n, 'a', '2026-01-01', '{on}', 2 from generate_series(1, 8) n",
        "update t set \"Kind\" = 'c' where id = 1",
        "update t set v = 'X' where id = 2",
        "update t set at = '2026-03-01' where id = 3",
        "update t set tags = '{off}' where id = 4",
        "update t set hidden = null where id = 5",
        "update t set id = 16, hidden = 0 where id = 6",
    )
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert sorted(target.rows) == [(7,), (8,)]
    lab.run(
        "update t set \"Kind\" = 'b', v = 'it''s \\ \"v\"' where id = 1",
        "update t set hidden = 1 where id = 7",
    )
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert sorted(target.rows) == [(1,), (8,)]
    assert target.rows[(1,)]["v"] == 'it\'s \\ "v"'
    assert target.rows[(1,)]["tags"] == '["on"]'


def test_where_needs_values_that_the_log_has(log: LogLab) -> None:
    """A long value that did not change is not in the log. If it decides, the changes are not used; with REPLICA
    IDENTITY FULL it is there."""
    lab = log.lab
    lab.run(
        "create table t (id int primary key, n int, v text)", "alter table t alter v set storage external"
    )
    plan = lab.plan(where="v like 'x%'", **XMIN)
    by_time = lab.plan(where="n < extract(epoch from now())", **XMIN)
    lab.run("insert into t values (1, 1, repeat('x', 3000))")
    target, blocks = TargetRows(plan), log.blocks(plan.source.oid)
    target.load(change_pages(blocks, plan, lab.source))
    with pytest.raises(LogUnusable, match="now"):
        list(change_pages(blocks, by_time, lab.source))
    lab.run("update t set n = 2")
    with pytest.raises(LogUnusable, match="lack v"):
        list(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    lab.run("alter table t replica identity full", "update t set n = 3")
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert target.rows[(1,)]["n"] == 3


CONDITIONS = {
    "at > now() - interval '1 day'": "now()",
    "at > current_date": "current_date",
    "at > 'today'::timestamptz": "'today'",
    "id in (SELECT id from other)": "select",
    "random() < 2": "random()",
    "tableoid > 0": "tableoid",
    "own(id)": "own()",
    "lower(v) = 'select now()' -- now()": "",
    "date_trunc('day', at) > '2026-01-01' and \"select\" = 1 and id in (1, 2)": "",
    "(v like 'a%' or coalesce(v, $$now$$) = $x$y$x$) and v <> E'it\\'s'": "$$now$$",
    "v::varchar(3) = 'now is the time'": "",
}


def test_conditions_that_depend_on_more_than_the_row(lab: Lab) -> None:
    """The source would judge a row of the log by its present, or by other rows."""
    lab.run("create function own(int) returns boolean language sql stable as 'select true'")

    def rows(query: Composable) -> list[tuple[object, ...]]:
        return lab.admin.execute(query.as_bytes(None)).fetchall()

    for condition, why in CONDITIONS.items():
        found = why_not_of_row(rows, condition)
        assert (why in found) if why else found == "", condition


def test_generated_columns_are_computed(log: LogLab) -> None:
    """The log does not have them; the source computes them from the columns that it has, in the types that COPY would
    deliver. They may decide, too."""
    lab = log.lab
    kind = "virtual" if lab.admin.info.server_version >= 180_000 else "stored"
    lab.run(
        "create table t (id int primary key, price numeric(10,2), amount int,"
        " total numeric(12,2) generated always as (price * amount) stored,"
        " text text generated always as ('n' || (price > 5)::text) stored,"
        f" twice int generated always as (amount * 2) {kind})"
    )
    plan = lab.plan(**XMIN)
    lab.run("insert into t values (1, 1.5, 3), (2, 10, null)", "update t set amount = 4 where id = 1")
    blocks = log.blocks(plan.source.oid)
    [page] = change_pages(blocks, plan, lab.source)
    texts = [[str(value) for value in row.values()] for row in page.page.rows.to_pylist()]
    assert sorted(texts) == [
        ["1", "1.50", "4", "6.00", "nfalse", "8"],
        ["2", "10.00", "None", "None", "ntrue", "None"],
    ]
    [some] = change_pages(
        blocks, lab.plan(where="total > 5", columns={"exclude": ["total"]}, **XMIN), lab.source
    )
    assert some.page.rows.column("id").to_pylist() == [1]
    assert some.deleted.to_pylist() == [{"id": 2}]
