"""Every type that Postgres has, and values of every family: what arrives is what Postgres itself reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.types.named_types import BY_NAME
from pgsnow.model.types.type_rules import mapping_of
from tests.examples import rounds
from tests.integration.postgres.lab import Lab

FORMS = {"numeric"}
"""Known by their form, not by their name."""
Family = tuple[str, st.SearchStrategy[Any]]
"""A type and its values, as texts or as what psycopg sends."""
WORD = st.text("abcz", min_size=1, max_size=5)
DATE = st.dates().map(str)
MOMENT = st.datetimes().map(str)
BOUND = st.sampled_from(["[)", "[]", "()", "(]"])
OFFSET = st.integers(-15, 15)
OCTET = st.integers(0, 255)
FLOAT = st.floats(allow_nan=False).map(repr)


def ranges(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    def one(pair: list[Any], bounds: str) -> str:
        low, high = sorted(pair)
        return f"{bounds[0]}{low},{high}{bounds[1]}"

    made = st.builds(one, st.lists(values, min_size=2, max_size=2), BOUND)
    return made | st.sampled_from(["empty", "(,)"]) | values.map(lambda low: f"[{low},)")


def sets_of(kinds: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(kinds, max_size=3).map(lambda parts: "{" + ",".join(parts) + "}")


INTERVALS = st.builds(
    lambda months, days, micros: f"{months} mons {days} days {micros} microseconds",
    *(st.integers(-(10**n), 10**n) for n in (6, 6, 15)),
)
POINTS = st.builds(lambda x, y: f"({x!r},{y!r})", *[st.floats(-1e6, 1e6)] * 2)
IPV4 = st.builds(
    lambda parts, mask: ".".join(map(str, parts)) + f"/{mask}", st.tuples(*[OCTET] * 4), st.integers(0, 32)
)
HEX = st.integers(0, 2**48 - 1).map(lambda n: ":".join(f"{n:012x}"[at : at + 2] for at in range(0, 12, 2)))
TEXTS: dict[str, Family] = {
    "free": ("numeric", st.integers(0, 10**60).map(lambda n: f"{n}.{n}") | st.sampled_from(["NaN", "-Infinity"])),
    "wide": ("numeric(60,20)", st.integers(-(10**40) + 1, 10**40 - 1).map(str)),
    "cash": ("money", st.integers(-(2**63), 2**63 - 1).map(lambda n: f"{Decimal(n).scaleb(-2):f}")),
    "ttz": ("timetz", st.builds(lambda t, h: f"{t}{h:+03d}", st.times(), OFFSET) | st.just("24:00:00+00")),
    "iv": ("interval", INTERVALS),
    "bits": ("varbit", st.text("01", max_size=70)),
    "ip": ("inet", IPV4 | st.ip_addresses(v=6).map(str)),
    "net": ("cidr", st.integers(0, 32).map(lambda n: f"0.0.0.0/{n}")),
    "mac": ("macaddr", HEX),
    "spot": ("point", POINTS),
    "area": ("polygon", st.lists(POINTS, min_size=1, max_size=4).map(lambda points: f"({','.join(points)})")),
    "words": ("tsvector", st.lists(WORD, max_size=4).map(" ".join)),
    "search": ("tsquery", st.lists(WORD, min_size=1, max_size=3).map(" & ".join)),
    "r4": ("int4range", ranges(st.integers(-(10**6), 10**6))),
    "rn": ("numrange", ranges(st.integers(-(10**30), 10**30))),
    "rd": ("daterange", ranges(DATE)),
    "rz": ("tstzrange", ranges(MOMENT)),
    "m8": ("int8multirange", sets_of(ranges(st.integers(-(10**12), 10**12)))),
    "lsn": ("pg_lsn", st.integers(0, 2**64 - 1).map(lambda n: f"{n >> 32:X}/{n & 0xFFFFFFFF:X}")),
    "x8": ("xid8", st.integers(0, 2**64 - 1).map(str)),
    "path": ("jsonpath", WORD.map(lambda word: f"$.{word}[*] ? (@ > 1)")),
}  # fmt: skip
LISTS: dict[str, Family] = {
    "ints": ("int8", st.integers(-(2**63), 2**63 - 1)),
    "numbers": ("numeric", st.integers(-(10**18), 10**18).map(lambda n: f"{n}.125") | st.just("NaN")),
    "floats": ("float8", FLOAT | st.just("NaN")),
    "flags": ("bool", st.booleans()),
    "texts": ("text", st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)),
    "blobs": ("bytea", st.binary(max_size=8)),
    "days": ("date", DATE | st.sampled_from(["infinity", "-infinity", "0044-03-15 BC"])),
    "moments": ("timestamp", MOMENT | st.just("infinity")),
    "spans": ("interval", INTERVALS),
    "docs": ("jsonb", st.dictionaries(WORD, st.integers() | st.none()).map(json.dumps)),
}  # fmt: skip


def arrays(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Of one dimension or of two, with NULLs."""
    row = st.lists(st.none() | values, min_size=2, max_size=2)
    return st.lists(st.none() | values, max_size=3) | st.lists(row, min_size=1, max_size=2)


def test_every_type_of_the_catalog_is_in_the_map(lab: Lab) -> None:
    """Base types, ranges and multiranges that a table's column may have."""
    there = lab.admin.execute(
        "select typname::text, typtype::text, typcategory::text from pg_type"
        " where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') and typcategory <> 'A'"
    ).fetchall()
    assert len(there) > 70
    assert {name for name, _, _ in there} - set(BY_NAME) - FORMS == set()
    assert [name for name, kind, _ in there if name not in FORMS and BY_NAME[name].kind != kind] == []


FEW = settings(max_examples=rounds(3), deadline=None, suppress_health_check=list(HealthCheck))
"""Examples of up to 40 values each, which travel in one read."""


def groups(families: Mapping[str, Family], size: int) -> list[Any]:
    """The families, so many in one table."""
    names = list(families)
    chosen = [names[at : at + size] for at in range(0, len(names), size)]
    return [pytest.param({name: families[name] for name in some}, id=" ".join(some)) for some in chosen]


@pytest.mark.parametrize("families", groups(TEXTS, 7))
@FEW
@given(data=st.data())
def test_text_that_arrives_is_the_value_to_the_letter(
    lab: Lab, families: Mapping[str, Family], data: st.DataObject
) -> None:
    """It is the text that Postgres makes of the value in another session, and given back to Postgres it is that same
    text again: nothing of the value was lost."""
    columns = {
        name: data.draw(st.lists(values, min_size=1, max_size=40), label=name)
        for name, (_, values) in families.items()
    }
    arrived = _through(lab, {name: kind for name, (kind, _) in families.items()}, columns)
    for name, (kind, _) in families.items():
        text = f"{name}::numeric::text" if kind == "money" else f"{name}::text"
        assert arrived[name] == dict(_told(lab, f"select id, {text} from t where {name} is not null")), name
        if kind != "money":  # its text is a number's
            again = f"select id, (a.{name}::{kind})::text from arrived a where {name} is not null"
            assert arrived[name] == dict(_told(lab, again)), name


@pytest.mark.parametrize("families", groups(LISTS, 5))
@FEW
@given(data=st.data())
def test_arrays_of_every_family_arrive_as_json_of_the_same_value(
    lab: Lab, families: Mapping[str, Family], data: st.DataObject
) -> None:
    """Postgres reads the JSON back as the array that was written."""
    columns = {
        name: data.draw(st.lists(arrays(values), min_size=1, max_size=40), label=name)
        for name, (_, values) in families.items()
    }
    arrived = _through(lab, {name: f"{kind}[]" for name, (kind, _) in families.items()}, columns)
    for name, (kind, _) in families.items():
        rows, texts = columns[name], arrived[name]
        assert texts.keys() == set(range(len(rows))), name
        empty = [json.loads(texts[at]) for at in texts if rows[at] == []]
        assert empty == [[] for row in rows if row == []], name
        back = f"(select x.v from json_to_record(json_build_object('v', a.{name}::json)) as x(v {kind}[]))"
        differing = f"select t.id, t.{name}::text from t join arrived a using (id)"
        assert _told(lab, f"{differing} where t.{name}::text <> {back}::text") == [], name


def _through(
    lab: Lab, kinds: Mapping[str, str], values: Mapping[str, list[Any]]
) -> dict[str, dict[int, str]]:
    """The texts that arrive of these columns' values, by their place; the table `arrived` holds them too. Shorter
    columns end with NULLs, which are left out."""
    of_t, of_arrived = (
        ", ".join(f"{name} {kind}" for name, kind in each.items())
        for each in (kinds, dict.fromkeys(kinds, "text"))
    )
    lab.run(
        "set time zone 'UTC'",
        "drop table if exists t, arrived",
        f"create table t (id int primary key, {of_t}, updated_at timestamptz not null default now())",
        f"create table arrived (id int primary key, {of_arrived})",
    )
    marks = ", ".join(f"%s::{kind}" for kind in kinds.values())
    with lab.admin.cursor() as cursor:
        rows = [(at, *row) for at, row in enumerate(zip_longest(*values.values()))]
        cursor.executemany(f"insert into t values (%s, {marks})".encode(), rows)
        follower = lab.follow()
        follower.tick()
        assert follower.rejected == []
        copy = {at: [row[name] for name in kinds] for at, row in follower.copy.items()}
        places = ", ".join(["%s"] * (len(kinds) + 1))
        cursor.executemany(
            f"insert into arrived values ({places})".encode(), [(at, *row) for at, row in copy.items()]
        )
    return {
        name: {at: row[name] for at, row in follower.copy.items() if row[name] is not None} for name in kinds
    }


def _told(lab: Lab, query: str) -> list[tuple[Any, ...]]:
    return lab.admin.execute(query.encode()).fetchall()


ODD = {
    "json_list": ("json[]", """array['{"a":1,"a":2}', '1.0', '"\\u0000"', null]::json[]""",
                  '[{"a":1,"a":2},1.0,"\\u0000",null]'),
    "doubles": ("float8[]", "'{NaN,Infinity,-Infinity,1e300,-0}'", '["NaN","Infinity","-Infinity",1e+300,-0]'),
    "moments": ("timestamptz[]", "'{infinity,-infinity,\"0044-03-15 12:00+00 BC\"}'",
                '["infinity","-infinity","0044-03-15T12:00:00+00:00 BC"]'),
    "blobs": ("bytea[]", "array['\\x00ff'::bytea]", '["\\\\x00ff"]'),
    "bounds": ("int[]", "'[5:6]={1,2}'", "[1,2]"),
    "cube": ("int[][][]", "'{{{1,NULL},{3,4}}}'", "[[[1,null],[3,4]]]"),
    "vec": ("int2vector", "'1 2 3'", "[1,2,3]"),
    "pairs": ("pair[]", "array[row(1,'x'),null]::pair[]", '[{"a":1,"b":"x"},null]'),
    "nested": ("deep", "row(row(1,null), '{a}', 'NaN')", '{"p":{"a":1,"b":null},"m":["a"],"n":"NaN"}'),
    "empty": ("pair", "row(null,null)", '{"a":null,"b":null}'),
    "dom": ("outer_domain", "7.5", "7.50"),
    "dom_list": ("domain_list", "'{1,2}'", "[1,2]"),
    "one": ('"char"', "'x'", "x"),
    "cls": ("regclass", "'pg_class'", "pg_class"),
    "snap": ("pg_snapshot", "'10:20:10,14'", "10:20:10,14"),
    "txs": ("txid_snapshot", "'10:20:10,14'", "10:20:10,14"),
    "spot": ("tid", "'(1,2)'", "(1,2)"),
    "padded": ("char(5)", "'ab'", "ab   "),
    "max_money": ("money", "'-92233720368547758.08'", "-92233720368547758.08"),
    "many": ("numeric", "repeat('9', 131072)::numeric", "9" * 131072),
    "small": ("numeric", "('0.' || repeat('0', 16382) || '1')::numeric", "0." + "0" * 16382 + "1"),
    "shape": ("circle", "'<(0.1,0.2),1e-300>'", "<(0.1,0.2),1e-300>"),
    "enum_list": ("mood[]", "'{fine,NULL}'", '["fine",null]'),
    "own_range": ("float_range", "'[0.1,0.2)'", "[0.1,0.2)"),
    "own_set": ("float_multirange", "'{[0.1,0.2),[1,)}'", "{[0.1,0.2),[1,)}"),
}  # fmt: skip


@pytest.fixture
def odd(lab: Lab) -> Lab:
    lab.run(
        "create type mood as enum ('fine')",
        "create type pair as (a int, b text)",
        "create type deep as (p pair, m text[], n float4)",
        "create domain inner_domain as numeric(10,2)",
        "create domain outer_domain as inner_domain check (value > 0)",
        "create domain domain_list as int[]",
        "create type float_range as range (subtype = float8)",
    )
    return lab


def test_odd_values_of_every_form_arrive_as_documented(odd: Lab) -> None:
    odd.run(
        f"create table t (id int primary key, {', '.join(f'{n} {kind}' for n, (kind, _, _) in ODD.items())},"
        " updated_at timestamptz default now())",
        f"insert into t values (1, {', '.join(value for _, value, _ in ODD.values())})",
        "insert into t (id) values (2)",
    )
    follower = odd.follow()
    follower.tick()
    assert follower.rejected == []
    found = {name: str(follower.copy[1][name]) for name in ODD}
    assert found == {name: text for name, (_, _, text) in ODD.items()}
    assert {follower.copy[2][name] for name in ODD} == {None}


def test_a_type_that_nobody_knows_travels_as_its_text(lab: Lab) -> None:
    lab.run(
        "create type bare",
        "create function bare_in(cstring) returns bare language internal strict immutable as 'textin'",
        "create function bare_out(bare) returns cstring language internal strict immutable as 'textout'",
        "create type bare (input = bare_in, output = bare_out, like = text)",
        "create table t (id int primary key, v bare, updated_at timestamptz default now())",
        "insert into t values (1, 'any ''text''')",
    )
    follower = lab.follow()
    follower.tick()
    assert follower.copy[1]["v"] == "any 'text'"


@pytest.mark.parametrize(
    ("extension", "kind", "value", "arrived"),
    [
        ("citext", "citext", "'MiXed'", "MiXed"),
        ("hstore", "hstore", "'a=>1, b=>NULL'", '{"a": "1", "b": null}'),
        ("ltree", "ltree", "'Top.Science'", "Top.Science"),
        ("cube", "cube", "'(1,2)'", "(1, 2)"),
    ],
)
def test_types_of_extensions_arrive(lab: Lab, extension: str, kind: str, value: str, arrived: str) -> None:
    lab.run(
        f"create extension {extension}",
        f"create table t (id int primary key, v {kind}, updated_at timestamptz default now())",
        f"insert into t values (1, {value})",
    )
    follower = lab.follow()
    follower.tick()
    assert follower.copy[1]["v"] == arrived
    column = follower.plan.source.column("v")
    assert column is not None
    assert mapping_of(column) is BY_NAME[kind]
