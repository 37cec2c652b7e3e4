"""Deleted rows are found whatever their key is: every tick's comparison is by SQL on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.small_ranges import small_ranges
from tests.world import World

EVERY_SECOND = "((ctid::text::point)[1])::int % 2 = 0"
LOW, HIGH = -(2**63), 2**63 - 1
TEXTS = (
    "ABC",
    "abc",
    "abc ",
    " abc",
    "",
    "é",
    "e\u0301",
    "o'x",
    "a\\b",
    "\U0001f600",
    "\uffff",
    "zz\t",
    "%_",
)
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
    "moments": (
        "id timestamptz",
        "timestamptz '2024-03-31 00:30Z' + g * interval '1020.000001 s' from generate_series(1, 99) g",
    ),
    "clock": ("id timestamp", "timestamp '0044-03-15 10:00' + g * interval '13 years' from generate_series(1, 99) g"),
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
    own = f"v int default 1, updated_at timestamptz not null default now(), primary key ({key})"
    world.sql(f"create table {name} ({columns}, {own})")
    world.sql(f"insert into {name} ({key}) select {rows.format(texts=', '.join(map(literal, TEXTS)))}")
    return {
        "source": f"public.{name}", "target": f"analytics.{name}", "pk": key.split(", "),
        "watermark_column": "updated_at",
    }  # fmt: skip


def load(world: World, names: Iterable[str]) -> None:
    """Create these tables and load them."""
    world.options = {"defaults": {"sweep_share": 1}}
    world.tables = [create(world, name, *KEYS[name]) for name in names]
    with world.engine() as engine:
        assert not engine.tick().failures


def delete(world: World, condition: str) -> None:
    """Delete the rows of each table that meet the condition; the next tick must leave no difference."""
    names = [table["source"] for table in world.tables]
    for name in names:
        world.sql(f"delete from {name} where {condition.format(name)}")
    world.sql("select pg_stat_force_next_flush()")
    with small_ranges(), world.engine() as engine:
        report = engine.tick()
    assert not report.failures, [(t.table, t.error) for t in report.failures]
    world.assert_equal()


def test_deleted_rows_are_found_at_the_ends_of_bigint_and_by_texts_that_are_alike(world: World) -> None:
    """The smallest and the largest bigint; texts that differ by case, blanks or accents; pairs of texts that are the
    same text if they are joined."""
    load(world, ("ends", "texts", "pairs"))
    delete(world, EVERY_SECOND)


@pytest.mark.stress
def test_deleted_rows_are_found_by_keys_of_every_kind(world: World) -> None:
    """Half of the rows of each table disappear, and then all but one, with no other row touched."""
    load(world, KEYS)
    delete(world, EVERY_SECOND)
    delete(world, "ctid <> (select min(ctid) from {0})")
