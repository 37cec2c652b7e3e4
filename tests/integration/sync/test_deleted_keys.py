"""Deleted rows are found whatever their key is: every tick's comparison is by SQL on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.small_ranges import make_ranges_small
from tests.world import World

LOW, HIGH = -(2**63), 2**63 - 1
TEXTS = ("ABC", "abc", "abc ", " abc", "", "é", "e\u0301", "o'x", "a\\b", "\U0001f600", "\uffff", "zz\t", "%_")
KEYS: Mapping[str, tuple[str, str]] = {
    "ends": ("id bigint", f"unnest(array[{LOW}, {LOW + 1}, -1, 0, 1, {HIGH - 1}, {HIGH}]) as id"),
    "clusters": (
        "id bigint",
        "unnest(array(select g from generate_series(1, 60) g)"
        " || array(select 1000000000000000000 + g from generate_series(1, 60) g)"
        " || array(select -5000000000000000000 + g * 7 from generate_series(1, 60) g)) as id",
    ),
    "texts": ("id text", "unnest(array[{texts}]) as id"),
    "pairs": ("a text, b text", "unnest(array['ab', 'a', 'abc', '']) as a, unnest(array['c', 'bc', '', 'abc']) as b"),
    "mixed": ("a int, b text, c date", "g, 'k' || g % 7, date '2024-02-29' + g from generate_series(1, 150) g"),
    "uuids": ("id uuid", "md5(g::text)::uuid from generate_series(1, 150) g"),
    "numbers": ("id numeric(20, 4)", "g / 7.0 - 10 from generate_series(1, 150) g"),
    "free_numbers": ("id numeric", "unnest(array[1, 1.5, -2.5, 1e30, 1e-10, 0, 100, 10, 9]::numeric[]) as id"),
    "moments": ("id timestamptz", "timestamptz '2024-03-31 00:30Z' + g * interval '17 minutes 1.000001 s' from generate_series(1, 150) g"),
    "clock": ("id timestamp", "timestamp '0044-03-15 10:00' + g * interval '13 years 1 s' from generate_series(1, 150) g"),
    "days": ("id date", "date '1600-01-01' + g * 1000 from generate_series(1, 150) g"),
    "bytes": ("id bytea", "decode(md5(g::text), 'hex') from generate_series(1, 150) g"),
    "padded": ("id char(5)", "'k' || g from generate_series(1, 150) g"),
    "flags": ("id boolean", "unnest(array[true, false]) as id"),
}  # fmt: skip


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def create(world: World, name: str, columns: str, rows: str) -> dict[str, Any]:
    key = ", ".join(column.split()[0] for column in columns.split(", ") if " " in column)
    key = {"numbers": "id"}.get(name, key)
    world.sql(f"create table {name} ({columns}, v int default 1, updated_at timestamptz not null default now(), primary key ({key}))")  # fmt: skip
    world.sql(f"insert into {name} ({key}) select {rows.format(texts=', '.join(map(literal, TEXTS)))}")
    return {
        "source": f"public.{name}", "target": f"analytics.{name}", "pk": key.split(", "),
        "watermark_column": "updated_at",
    }  # fmt: skip


@pytest.fixture
def keys(world: World) -> World:
    """A table for each kind of key, all of them loaded."""
    world.options = {"defaults": {"sweep_share": 1}}
    world.tables = [create(world, name, *made) for name, made in KEYS.items()]
    with world.engine() as engine:
        assert not engine.tick().failures
    return world


def test_deleted_rows_are_found_by_keys_of_every_kind(keys: World) -> None:
    """Half of the rows of each table disappear, and then all but the smallest, with no other row touched."""
    make_ranges_small()
    for share in ("((ctid::text::point)[1])::int % 2 = 0", "ctid <> (select min(ctid) from {0})"):
        for name in KEYS:
            keys.sql(f"delete from {name} where {share.format(name)}")
        keys.sql("select pg_stat_force_next_flush()")
        with keys.engine() as engine:
            report = engine.tick()
        assert not report.failures, [(t.table, t.error) for t in report.failures]
        keys.assert_equal()
