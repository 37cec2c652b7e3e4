"""A value that is read from the log is the value that COPY reads from the table, for every type."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgsnow.model.batch import Page
from pgsnow.model.errors import RelationChanged
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT
from pgsnow.postgres.read.by_key import read_all
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.stream.pages import change_pages
from tests.integration.postgres.lab import Lab
from tests.integration.postgres.test_pg_every_type import LISTS, ODD, TEXTS, arrays
from tests.integration.postgres.test_pg_types import COLUMNS, REFUSED, VALUES, sent
from tests.integration.replication.log_lab import LogLab

TYPES = [
    "create type mood as enum ('fine', 'sad', 'happy')",
    "create type pair as (a int, b text)",
    "create type deep as (p pair, m text[], n float4)",
    "create domain inner_domain as numeric(10,2)",
    "create domain outer_domain as inner_domain check (value > 0)",
    "create domain domain_list as int[]",
    "create type float_range as range (subtype = float8)",
]
PLAIN = {name: kind for name, kind in COLUMNS.items() if name != "feeling"}
DRAWN: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    **{name: (kind, VALUES[name].map(partial(sent, name))) for name, kind in PLAIN.items()},
    **{f"t_{name}": family for name, family in TEXTS.items()},
    **{f"l_{name}": (f"{kind}[]", arrays(values)) for name, (kind, values) in LISTS.items()},
}


def compared(log: LogLab, plan: TablePlan) -> list[Page]:
    """The pages of what the log has, once they have been found equal to what COPY reads."""
    pages = [page.page for page in change_pages(log.blocks(plan.source.oid, most=7), plan, log.lab.source)]
    with log.lab.source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        copied = list(read_all(snap, plan, plan.fields))
    assert shown(pages) == shown(copied)
    return pages


def shown(pages: Sequence[Page]) -> list[Any]:
    """Rows and rejected rows, ordered and with NaN equal to itself."""
    rows = sorted(repr(row) for page in pages for row in page.rows.to_pylist())
    rejected = sorted(repr(row) for page in pages for row in page.rejected)
    changed = sorted(column for page in pages for column in page.changed)
    return [rows, rejected, changed]


def made(lab: Lab, kinds: dict[str, str]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    lab.run("drop table if exists t", f"create table t (id int primary key, {columns})")


@settings(
    max_examples=4, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_values_of_every_type(log: LogLab, data: st.DataObject) -> None:
    """Whatever the values are."""
    kinds = {name: kind for name, (kind, _) in DRAWN.items()}
    made(log.lab, kinds)
    columns = [
        data.draw(st.lists(st.none() | values, min_size=1, max_size=12), label=name)
        for name, (_, values) in DRAWN.items()
    ]
    marks = ", ".join(f"%s::{kind}" for kind in kinds.values())
    with log.lab.admin.cursor() as cursor:
        rows = [(at, *row) for at, row in enumerate(zip_longest(*columns))]
        cursor.executemany(f"insert into t values (%s, {marks})".encode(), rows)
    assert compared(log, log.lab.plan(mode="xmin", watermark_column=None))


@pytest.mark.parametrize(
    "options",
    [{}, {"real_values": "exact", "char_padding": "trim", "on_overflow": "text"}, {"on_overflow": "clamp"}],
)
def test_values_of_odd_types_and_those_that_no_target_holds(log: LogLab, options: dict[str, Any]) -> None:
    """Arrays of every form, composite types, domains, types of one's own; infinite dates, years before 1, long numbers:
    the same rows are rejected, or changed, for the same reasons."""
    lab = log.lab
    lab.run(*TYPES)
    made(lab, {**{f"odd_{name}": kind for name, (kind, _, _) in ODD.items()}, **COLUMNS})
    names = ", ".join(f"odd_{name}" for name in ODD)
    short = [(column, value) for column, value, _ in REFUSED if "repeat" not in value]
    lab.run(
        f"insert into t (id, {names}) values (1, {', '.join(value for _, value, _ in ODD.values())})",
        "insert into t (id) values (2)",
        "insert into t (id, f4, f8, ch, txt, bin, flag) values (3, '-0', '-0', '', '', '', false),"
        " (4, 'NaN', '-Infinity', 'ab', E'a\\\\b\"{},', '\\x00ff', true),"
        " (5, 3.4145, 5e-324, null, 'NULL', null, null)",
        *(
            f"insert into t (id, {column}) values ({number}, {value})"
            for number, (column, value) in enumerate(short, start=6)
        ),
    )
    pages = compared(log, lab.plan(mode="xmin", watermark_column=None, **options))
    assert any(page.rejected for page in pages) != (options.get("on_overflow") == "text")


def test_values_that_are_too_long(log: LogLab) -> None:
    """They are rejected, as those that COPY does not even read."""
    lab = log.lab
    lab.run("create table t (id int primary key, v text, b bytea)")
    lab.run(
        f"insert into t values (1, repeat('x', {TEXT_LIMIT + 1})), (2, 'x')",
        f"insert into t values (3, null, decode(repeat('00', {BINARY_LIMIT + 1}), 'hex'))",
    )
    pages = compared(log, lab.plan(mode="xmin", watermark_column=None))
    assert [row.key["id"] for page in pages for row in page.rejected] == ["1", "3"]


def test_keys_that_have_several_texts(log: LogLab) -> None:
    """Keys that Postgres calls equal are one row, in the form in which keys are loaded: a key that only changes its
    writing is no other key."""
    lab = log.lab
    kinds = {
        "n": "numeric", "c": "citext", "i": "interval", "f": "float8", "r": "real", "p": "bpchar", "g": "numrange",
        "a": "inet", "z": "timestamptz", "u": "uuid", "x": "bytea", "d": "date",
    }  # fmt: skip
    one = (
        "1.0, 'Ab', '24 hours', '-0', '-0', 'a  ', '[1.0,2.50)', '10.0.0.1', '2026-01-01', gen_random_uuid(),"
        " '\\xff', now()"
    )
    lab.run(
        "create extension citext",
        f"create table t ({', '.join(f'{name} {kind}' for name, kind in kinds.items())}, v int,"
        f" primary key ({', '.join(kinds)}))",
        f"insert into t values ({one}, 1)",
    )
    plan = lab.plan(mode="xmin", watermark_column=None, pk=list(kinds))
    [page] = compared(log, plan)
    [before] = page.rows.select(list(kinds)).to_pylist()
    lab.run("update t set n = 1.00, c = 'aB', i = '1 day', f = 0, r = 0, p = 'a', g = '[1.00,2.5)', v = 2")
    [changed] = change_pages(log.blocks(plan.source.oid), plan, lab.source)
    assert changed.page.rows.select(list(kinds)).to_pylist() == [before]
    assert changed.page.rows.column("v").to_pylist() == [2]
    assert changed.deleted.num_rows == 0
    lab.run("update t set n = 7", "delete from t")
    [gone] = change_pages(log.blocks(plan.source.oid), plan, lab.source)
    assert gone.deleted.to_pylist() == [before, {**before, "n": "7"}]


@pytest.mark.parametrize(
    ("extension", "kind", "value"),
    [
        ("citext", "citext", "'MiXed'"),
        ("hstore", "hstore", "'a=>1, b=>NULL'"),
        ("ltree", "ltree", "'Top.Science'"),
        ("cube", "cube", "'(1,2)'"),
    ],
)
def test_types_of_extensions(log: LogLab, extension: str, kind: str, value: str) -> None:
    log.lab.run(
        f"create extension {extension}",
        f"create table t (id int primary key, v {kind}, l {kind}[])",
        f"insert into t values (1, {value}, array[{value}]::{kind}[])",
    )
    assert compared(log, log.lab.plan(mode="xmin", watermark_column=None))


def test_a_composite_type_that_was_altered_since(log: LogLab) -> None:
    """Values of its former form are not read as its present one."""
    lab = log.lab
    lab.run("create type pair as (a int, b text)", "create table t (id int primary key, v pair)")
    plan = lab.plan(mode="xmin", watermark_column=None)
    lab.run("insert into t values (1, row(1, 'x'))", "alter type pair add attribute c int")
    with pytest.raises(RelationChanged, match="column v"):
        list(change_pages(log.blocks(plan.source.oid), plan, lab.source))
