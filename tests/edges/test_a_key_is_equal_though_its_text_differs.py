"""Postgres calls two keys equal whose texts differ.

Group: keys
Danger: the key `Ann@x.io` becomes `ann@x.io`, or 1.0 becomes 1.000. For Postgres it is the same row, for Snowflake
another one: the target would keep both.
Answer: such a key is loaded in one canonical form (citext in lower case, numeric without trailing zeros). Where a type
has none, `discover` proposes another key, and `check` and the run refuse the table with the reason.
"""

from __future__ import annotations

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.model.report import Status
from pgsnow.model.table_key import choose_key, key_problem
from pgsnow.model.types.key_forms import CANONICAL
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.tables import check_table
from pgsnow.postgres.catalog.survey import survey
from tests.examples import rounds
from tests.world import MemoryWorld

KEYS = [
    ("citext", "Ann@x.io", "ann@x.io", "ann@x.io"),
    ("numeric", "1.0", "1.000", "1"),
    ("numeric", "-20.50", "-20.5", "-20.5"),
    ("interval", "1 day", "24:00", "1 day"),
    ("interval", "1 mon", "30 days", "1 mon"),
    ("bpchar", "a", "a  ", "a"),
    ("numrange", "[1.0,2.50)", "[1,2.5)", "[1,2.5)"),
    ("float8", "-0", "0", 0.0),
    ("float4", "-0", "0", 0.0),
    ("folded", "Ann", "ANN", "ann"),
]
"""Type, key, the equal key that replaces it, what the target holds."""
REFUSED = [
    ("text collate ignores_case", "Postgres compares it by a collation that calls different texts equal"),
    ("ignoring", "Postgres compares it by a collation that calls different texts equal"),
    ("tsquery", "Postgres does not compare tsquery by its text"),
    ("jsonb", "Snowflake does not compare exactly"),
    ("numeric[]", "Snowflake does not compare exactly"),
    ("pair", "Snowflake does not compare exactly"),
    ("named", "Snowflake does not compare exactly"),
    ("namerange", "a range of a type whose equality pgsnow does not know"),
]
TYPES = """
create extension citext;
create domain folded as citext;
create collation ignores_case from "C";
set allow_system_table_mods = on;
update pg_collation set collisdeterministic = false where collname = 'ignores_case';
create type pair as (a numeric, b citext);
create domain named as text[];
create domain ignoring as text collate ignores_case;
create type namerange as range (subtype = text, collation = ignores_case);
"""
"""PostgreSQL may be built without ICU, so the collation is nondeterministic in the catalog alone."""


def keyed(world: MemoryWorld, *kinds: str) -> None:
    """A table for each type of key: things_0, things_1 …"""
    world.sql(TYPES)
    world.tables = []
    for at, kind in enumerate(kinds):
        world.sql(
            f"create table things_{at} (k {kind} primary key, v text, at timestamptz not null default now())"
        )
        names = {"source": f"public.things_{at}", "target": f"analytics.things_{at}"}
        world.tables.append({**names, "pk": "k", "watermark_column": "at"})


def test_a_row_whose_key_changes_to_an_equal_one_stays_one_row(memory_world: MemoryWorld) -> None:
    """One row in Postgres is one row in Snowflake, with its newest values."""
    world = memory_world
    keyed(world, *(kind for kind, *_ in KEYS))
    with world.engine() as engine:
        for at, (_, before, _, _) in enumerate(KEYS):
            world.sql(f"insert into things_{at} values ('{before}', 'old')")
        assert {table.status for table in engine.tick().tables} == {Status.OK}
        for at, (_, _, after, _) in enumerate(KEYS):
            world.sql(f"update things_{at} set k = '{after}', v = 'new', at = clock_timestamp()")
        assert {table.status for table in engine.tick().tables} == {Status.OK}
    for at, (kind, _, _, loaded) in enumerate(KEYS):
        rows = world.target(f"analytics.things_{at}").rows
        assert [(row["K"], row["V"]) for row in rows] == [(loaded, "new")], kind


def test_a_key_without_a_canonical_form_is_refused_with_the_reason(memory_world: MemoryWorld) -> None:
    """The run loads nothing, and `check` says the same as the run."""
    world = memory_world
    keyed(world, *(kind for kind, _ in REFUSED))
    with world.engine() as engine:
        reports = engine.tick().tables
        for (_, why), report, table in zip(REFUSED, reports, engine.config.tables, strict=True):
            assert report.error_type == "KeyUnusable"
            assert why in str(report.error)
            results, _ = check_table(world.source, table, world.settings.snowflake)
            assert any(result.level is Level.FAILED and why in result.detail for result in results)


def test_check_warns_of_a_key_whose_type_is_known_by_its_text_only(memory_world: MemoryWorld) -> None:
    """pgsnow cannot know what a type of an unknown extension calls equal."""
    world = memory_world
    world.sql(
        "create type odd;"
        " create function odd_in(cstring) returns odd language internal strict immutable as 'textin';"
        " create function odd_out(odd) returns cstring language internal strict immutable as 'textout';"
        " create type odd (input = odd_in, output = odd_out, like = text);"
        " create view things as select 'a'::odd as k"
    )
    world.tables = [{"source": "public.things", "target": "analytics.things", "pk": "k", "mode": "full"}]
    results, _ = check_table(world.source, world.config.tables[0], world.settings.snowflake)
    warnings = [result.detail for result in results if result.level is Level.WARNING]
    assert any("pk column k has type odd, which pgsnow knows by its text only" in text for text in warnings)


def test_discovery_proposes_another_key_and_says_why(memory_world: MemoryWorld) -> None:
    """A key that Snowflake compares as Postgres does is chosen; without one the reason is told."""
    world = memory_world
    keyed(world, "text collate ignores_case", "tsquery", "namerange")
    world.sql("alter table things_0 add id int not null unique")
    found = [table.source for table in survey(world.source) if table.name.table.startswith("things_")]
    assert [choose_key(table) for table in found] == [("id",), None, None]
    assert all(key_problem(table, ("k",)).startswith("k") for table in found)


def test_a_target_with_keys_in_their_older_form_gets_the_canonical_one(memory_world: MemoryWorld) -> None:
    """After an upgrade from a version that loaded keys as they are written, everything is read again and replaces the
    content, so that no row is there twice; the event names the column."""
    world = memory_world
    keyed(world, "citext")
    world.sql("insert into things_0 values ('Ann@x.io', 'old'), ('Bob@x.io', 'old')")
    with world.engine() as engine:
        engine.tick()
        as_an_older_version_left_it(world)
        report = engine.tick().tables[0]
        assert report.full_read == "column k is loaded in another form: lower case"
        world.sql(
            "update things_0 set k = 'BOB@x.io', v = 'new', at = clock_timestamp() where k = 'bob@x.io'"
        )
        engine.tick()
        assert engine.tick().tables[0].status is Status.IDLE
    rows = [(row["K"], row["V"]) for row in world.target("analytics.things_0").rows]
    assert sorted(rows) == [("ann@x.io", "old"), ("bob@x.io", "new")]


def as_an_older_version_left_it(world: MemoryWorld) -> None:
    """Keys in the target as they are written in the source, and a ledger without forms of conversion."""
    table = world.target("analytics.things_0")
    for row in table.rows:
        row["K"] = row["K"].capitalize()
    world.sql(
        "update sync_watermarks set source_schema = jsonb_set(source_schema, '{columns}', ("
        "  select jsonb_agg(c - 'conversion') from jsonb_array_elements(source_schema -> 'columns') c)),"
        ' checkpoint = checkpoint || \'{"shape": "older"}\''
    )


def test_a_key_whose_enum_label_is_renamed_stays_one_row(memory_world: MemoryWorld) -> None:
    """Postgres renames the label in every row without writing one; the target's content follows as a whole."""
    world = memory_world
    world.sql("create type size as enum ('small', 'large')")
    world.sql("create table things (k size primary key, v text, at timestamptz not null default now())")
    world.sql("insert into things values ('small', 'a'), ('large', 'b')")
    world.tables = [{"source": "public.things", "target": "analytics.things", "watermark_column": "at"}]
    with world.engine() as engine:
        engine.tick()
        world.sql("alter type size rename value 'small' to 'tiny'")
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()


numbers = st.decimals(-(10**6), 10**6, places=3).map(str) | st.sampled_from(
    ["NaN", "Infinity", "0.00", "-0", "1e-20"]
)
parts = st.tuples(st.integers(-3, 3), st.integers(-60, 60), st.integers(-72, 72))
letters = st.text(st.sampled_from("aAbBäÄıİßẞ "), max_size=3)
VALUES = {
    "numeric": numbers,
    "interval": parts.map(lambda part: "{} mon {} day {} hour".format(*part)),
    "bpchar": letters,
    "citext": letters,
    "float8": st.sampled_from(["-0", "0", "NaN", "1e300", "-Infinity"]),
    "float4": st.sampled_from(["-0", "0", "NaN", "0.1", "3.4145", "1e-45"]),
    "numrange": st.sampled_from(
        ["[1.0,2)", "[1,2.00)", "empty", "(,1.10]", "[10,100)", "[10.0,100.0)", "[0.0,)"]
    ),
    "nummultirange": st.sampled_from(["{}", "{[1.0,2),[3,4)}", "{[1,2.0),[3.00,4)}", "{[10,)}", "{[10.0,)}"]),
}


def test_values_are_equal_exactly_if_their_canonical_forms_are_the_same_text(
    memory_world: MemoryWorld,
) -> None:
    """The form keeps different keys apart, makes equal ones the same, and equals the key, so that a lookup finds it."""
    memory_world.sql("create extension if not exists citext")
    assert VALUES.keys() == CANONICAL.keys()
    for kind, (form, _) in CANONICAL.items():
        back = "float8" if kind == "float4" else kind
        query = (
            f"with v as (select v, ({form.format(c='v')})::text as form from unnest(%s::{kind}[]) v)"
            f" select a.v::text, b.v::text, a.form, b.form from v a, v b where"
            f' (a.v = b.v) <> (a.form = b.form collate "C") or (a.form::{back}::{kind} = a.v) is not true'
        )
        check_form(memory_world.source, query, kind)


def check_form(source: psycopg.Connection[tuple[object, ...]], query: str, kind: str) -> None:
    """The query finds nothing wrong with any values of this type."""

    @settings(max_examples=rounds(15))
    @given(st.lists(VALUES[kind], min_size=2, max_size=8))
    def holds(values: list[str]) -> None:
        assert rows(source, query, values) == []

    holds()


def rows(connection: psycopg.Connection[tuple[object, ...]], query: str, values: list[str]) -> list[object]:
    """The query's rows, for these values as text."""
    return list(connection.execute(query.encode(), [values]).fetchall())
