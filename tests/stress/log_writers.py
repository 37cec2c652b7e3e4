"""Writers for the stress of `mode: log`: transactions of every kind, over a few tables whose rows belong together.

The two invariants that hold in every state that was ever committed: the amounts of `l_account` add up to zero, and each
row of `l_entry` has its account.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

TABLES = ("l_account", "l_entry", "l_note", "l_tree")
SCHEMA = """
create table l_account (id bigint primary key, amount numeric(20, 2) not null, name text);
create table l_entry (
    id bigint primary key, account bigint not null references l_account on update cascade on delete cascade,
    big text, n int not null default 0
);
alter table l_entry alter big set storage external;
create table l_note (a text, b int, big text, more jsonb, primary key (a, b));
alter table l_note alter big set storage external;
alter table l_note replica identity full;
create table l_tree (id bigint, region int, v int, big text, primary key (id, region)) partition by list (region);
create table l_tree_0 partition of l_tree for values in (0);
create table l_tree_1 partition of l_tree for values in (1);
create table l_tree_2 partition of l_tree default;
alter table l_tree alter big set storage external;
insert into l_account select i, 0, 'account ' || i from generate_series(1, 50) i;
create publication pgsnow_stress for table l_account, l_entry, l_note, l_tree
    with (publish_via_partition_root = true);
"""
BIG = "repeat(chr(97 + (random() * 25)::int), 2500 + (random() * 2000)::int)"
ID = "(random() * 400)::int"

STATEMENTS: tuple[tuple[float, str], ...] = (
    (4, f"insert into l_entry select {ID}, (select id from l_account order by random() limit 1), {BIG}, 1"
        " on conflict (id) do update set n = l_entry.n + 1"),
    (4, f"update l_entry set n = n + 1 where id between {ID} and {ID} + 3"),
    (2, f"update l_entry set big = {BIG} where id = {ID}"),
    (2, f"delete from l_entry where id between {ID} and {ID} + 2"),
    (2, f"update l_entry set id = 1000 + id where id = {ID} and not exists"
        " (select from l_entry o where o.id = 1000 + l_entry.id)"),
    (1, "update l_entry set id = id - 1000"
        " where id = (select id from l_entry where id > 1000 order by random() limit 1)"
        " and not exists (select from l_entry o where o.id = l_entry.id - 1000)"),
    (2, "with pair as (select array_agg(id) as ids from (select id from l_account order by random() limit 2) x)"
        " update l_account set amount = amount + case id when ids[1] then 5 else -5 end from pair"
        " where id = any (ids) and array_length(ids, 1) = 2"),
    (3, f"insert into l_note values ('k' || {ID} % 40, {ID} % 5, {BIG}, '{{\"a\": 1.50}}') on conflict (a, b)"
        " do update set more = jsonb_build_object('n', random())"),
    (1, f"update l_note set b = b + 5 where a = 'k' || {ID} % 40 and b < 3"),
    (1, f"delete from l_note where a = 'k' || {ID} % 40"),
    (3, f"insert into l_tree values ({ID}, {ID} % 4, 1, {BIG})"
        " on conflict (id, region) do update set v = l_tree.v + 1"),
    (1, f"update l_tree set region = (region + 1) % 4 where id = {ID} and not exists"
        " (select from l_tree o where o.id = l_tree.id and o.region = (l_tree.region + 1) % 4)"),
    (1, f"delete from l_tree where id = {ID}"),
    (0.3, f"insert into l_note select 'big' || g, 0, {BIG}, null from generate_series(1, 600) g"
          " on conflict do nothing"),
    (0.2, "delete from l_note where a like 'big%'"),
    (0.05, "truncate l_note"),
    (0.05, "truncate l_entry"),
)  # fmt: skip


def write(dsn: str, number: int, until: float) -> None:
    """Run transactions until then: single statements, several with savepoints, rolled back, prepared ones."""
    rnd = random.Random(number)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set lock_timeout = '300ms'")
        conn.execute("set statement_timeout = '5s'")
        if number % 4 == 0:
            conn.execute("set synchronous_commit = off")
        while time.monotonic() < until:
            with suppress(psycopg.Error):
                rnd.choices([_single, _several, _prepared], [5, 4, 1])[0](conn, rnd)
            if conn.closed:
                return
            if conn.info.transaction_status:
                with suppress(psycopg.Error):
                    conn.execute("rollback")
            time.sleep(rnd.random() * 0.05)


def _statement(rnd: random.Random) -> str:
    weights, texts = zip(*STATEMENTS, strict=True)
    return str(rnd.choices(texts, weights)[0])


def _single(conn: psycopg.Connection[Any], rnd: random.Random) -> None:
    conn.execute(_statement(rnd).encode())


def _several(conn: psycopg.Connection[Any], rnd: random.Random) -> None:
    conn.execute("begin")
    for _ in range(rnd.randint(1, 6)):
        with_savepoint = rnd.random() < 0.4
        if with_savepoint:
            conn.execute("savepoint s")
        try:
            conn.execute(_statement(rnd).encode())
            if with_savepoint and rnd.random() < 0.4:
                conn.execute("rollback to savepoint s")
        except psycopg.Error:
            if not with_savepoint:
                raise
            conn.execute("rollback to savepoint s")
        if rnd.random() < 0.1:
            time.sleep(rnd.random())
    conn.execute("rollback" if rnd.random() < 0.2 else "commit")


def _prepared(conn: psycopg.Connection[Any], rnd: random.Random) -> None:
    name = f"l{rnd.getrandbits(60)}"
    conn.execute("begin")
    conn.execute(_statement(rnd).encode())
    conn.execute(f"prepare transaction '{name}'")
    time.sleep(rnd.random() * 0.5)
    for attempt in range(20):
        try:
            conn.execute(f"{'commit' if rnd.random() < 0.7 else 'rollback'} prepared '{name}'")
            return
        except psycopg.Error:
            time.sleep(0.05 * attempt)


DDL: tuple[Callable[[random.Random], str], ...] = (
    lambda rnd: (
        f"alter table l_entry add column if not exists c{rnd.randint(1, 3)} int default {rnd.randint(1, 9)}"
    ),
    lambda rnd: f"alter table l_entry drop column if exists c{rnd.randint(1, 3)}",
    lambda _rnd: "alter table l_tree alter v type bigint",
    lambda _rnd: "truncate l_tree_1",
    lambda _rnd: "vacuum full l_entry",
)


def alter(dsn: str, number: int, until: float) -> None:
    """Alter tables now and then until then."""
    rnd = random.Random(number)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set lock_timeout = '2s'")
        while time.monotonic() < until:
            time.sleep(rnd.random() * 8)
            with suppress(psycopg.Error):
                conn.execute(rnd.choice(DDL)(rnd).encode())
