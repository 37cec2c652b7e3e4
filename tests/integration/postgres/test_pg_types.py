"""Each type arrives exactly; what its target type cannot hold is rejected with its key and a reason."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json, Jsonb

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT
from pgsnow.postgres.read.by_key import payloads, read_keys
from pgsnow.postgres.read.reader import open_reader
from tests.examples import rounds
from tests.integration.postgres.lab import Lab, lab_in

COLUMNS = {
    "i2": "int2", "i4": "int4", "i8": "int8", "money38": "numeric(38,0)", "price": "numeric(12,4)",
    "free": "numeric", "f4": "float4", "f8": "float8", "flag": "bool", "txt": "text", "vc": "varchar(40)",
    "ch": "char(6)", "uid": "uuid", "js": "json", "jb": "jsonb", "bin": "bytea", "day": "date", "clock": "time",
    "ntz": "timestamp", "tz": "timestamptz", "arr": "int[]", "names": "text[]", "feeling": "mood",
    "free_list": "numeric[]",
}  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i2": integers(16), "i4": integers(32), "i8": integers(64),
    "money38": st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    "price": st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: Decimal(n).scaleb(-4)),
    "free": st.decimals(allow_nan=False, allow_infinity=False, places=9),
    "f4": st.floats(width=32), "f8": st.floats(), "flag": st.booleans(),
    "txt": TEXT, "vc": TEXT, "ch": TEXT.map(lambda text: text[:6]),
    "uid": st.uuids(), "js": JSON, "jb": JSON, "bin": st.binary(max_size=40), "day": st.dates(), "clock": st.times(),
    "ntz": st.datetimes(), "tz": st.datetimes(timezones=st.just(UTC)),
    "arr": st.lists(st.none() | integers(32), max_size=4), "names": st.lists(TEXT, max_size=3),
    "feeling": st.sampled_from(["sad", "happy"]),
    "free_list": st.lists(st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal), max_size=3),
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}),
    min_size=1,
    max_size=8,
)


@pytest.fixture
def typed(lab: Lab) -> Lab:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    lab.run(
        "create type mood as enum ('sad', 'happy')",
        f"create table t (id int primary key, {columns}, updated_at timestamptz not null default now())",
    )
    return lab


def sent(name: str, value: Any) -> Any:
    if value is None or name not in ("js", "jb"):
        return value
    return Json(value) if name == "js" else Jsonb(value)


def expected(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "uid":
        return str(value)
    if name == "ch":
        return value.ljust(6)
    if name == "free_list":
        return [int(item) for item in value]
    if name in ("js", "jb", "arr", "names"):
        return json.loads(json.dumps(value))
    return f"{value:f}" if name == "free" else value


def got(name: str, value: Any) -> Any:
    if value is None:
        return None
    return json.loads(value) if name in ("js", "jb", "arr", "names", "free_list") else value


def same(name: str, left: Any, right: Any) -> bool:
    if name in ("f4", "f8") and left is not None and right is not None:
        return struct.pack("d", left) == struct.pack("d", right) or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


@settings(max_examples=rounds(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_value_arrives_as_it_was_written(typed: Lab, rows: list[dict[str, Any]]) -> None:
    typed.run("truncate t")
    names = list(COLUMNS)
    with typed.admin.cursor() as cursor:
        cursor.executemany(
            f"insert into t (id, {', '.join(names)}) values (%s, {', '.join(f'%s::{COLUMNS[n]}' for n in names)})",
            [[at, *(sent(name, row[name]) for name in names)] for at, row in enumerate(rows)],
        )
    follower = typed.follow()
    follower.tick()
    assert follower.rejected == []
    printed: dict[int, str] = dict(
        typed.admin.execute("select id, f4::text from t where f4 is not null").fetchall()
    )
    for at, row in enumerate(rows):
        row["f4"] = float(printed[at]) if at in printed else None  # a real arrives as Postgres prints it
        for name in names:
            arrived = got(name, follower.copy[at][name])
            assert same(name, arrived, expected(name, row[name])), (name, arrived, row[name])


@pytest.mark.parametrize(
    "options", [{"max_rows_per_load": 10}, {"batch_size": 10, "transform": {"function": "a_module:function"}}]
)
def test_pages_have_the_plans_names_and_types_and_nothing_else(typed: Lab, options: dict[str, Any]) -> None:
    """And no more rows than a load unit is to have, or than a function is to be given."""
    typed.run("insert into t (id) select generate_series(1, 25)")
    plan = typed.plan(**options)
    follower = typed.follow(**options)
    for full in (True, False):
        typed.run("update t set updated_at = now()")
        with open_reader(
            follower.source, plan, None if full else follower.checkpoint, follower.horizon()
        ) as reading:
            pages = list(reading.pages())
            follower.checkpoint = reading.checkpoint()
        assert [page.rows.num_rows for page in pages] == [10, 10, 5]
        for page in pages:
            assert page.rows.schema == pa.schema([(f.source, f.type.arrow) for f in plan.fields])


def test_null_and_the_empty_text_stay_two_things(typed: Lab) -> None:
    typed.run("insert into t (id, txt, bin, ch) values (1, '', '', ''), (2, null, null, null)")
    follower = typed.follow()
    follower.tick()
    assert [follower.copy[1][name] for name in ("txt", "bin", "ch")] == ["", b"", " " * 6]
    assert [follower.copy[2][name] for name in ("txt", "bin", "ch")] == [None, None, None]


def test_json_text_and_odd_numbers_are_kept_to_the_letter(typed: Lab) -> None:
    typed.run(
        """insert into t (id, js, free, f8) values (1, '{"b" : 1, "a":1.0, "b": 2}', 'NaN', '-0'),
           (2, '1e30', '-Infinity', 'Infinity'), (3, null, 1e-20, 'NaN')"""
    )
    follower = typed.follow()
    follower.tick()
    assert follower.copy[1]["js"] == '{"b" : 1, "a":1.0, "b": 2}'
    assert [follower.copy[key]["free"] for key in (1, 2, 3)] == ["NaN", "-Infinity", "0.00000000000000000001"]
    assert math.copysign(1, follower.copy[1]["f8"]) == -1.0
    assert follower.copy[2]["f8"] == math.inf
    assert math.isnan(follower.copy[3]["f8"])


REFUSED = [
    ("tz", "'infinity'", "tz: TIMESTAMP_TZ(6) cannot hold infinity"),
    ("tz", "'-infinity'", "tz: TIMESTAMP_TZ(6) cannot hold -infinity"),
    ("tz", "'0044-03-15 12:00+00 BC'", "tz: TIMESTAMP_TZ(6) cannot hold 0044-03-15 12:00:00+00 BC"),
    ("tz", "'4714-11-24 00:00+00 BC'", "tz: TIMESTAMP_TZ(6) cannot hold 4714-11-24 00:00:00+00 BC"),
    ("tz", "'10000-01-01 00:00+00'", "tz: TIMESTAMP_TZ(6) cannot hold 10000-01-01 00:00:00+00"),
    (
        "tz",
        "'294276-12-31 23:59:59.999999+00'",
        "tz: TIMESTAMP_TZ(6) cannot hold 294276-12-31 23:59:59.999999+00",
    ),
    ("ntz", "'infinity'", "ntz: TIMESTAMP_NTZ(6) cannot hold infinity"),
    (
        "ntz",
        "'0001-12-31 23:59:59.999999 BC'",
        "ntz: TIMESTAMP_NTZ(6) cannot hold 0001-12-31 23:59:59.999999 BC",
    ),
    ("day", "'infinity'", "day: DATE cannot hold infinity"),
    ("day", "'-infinity'", "day: DATE cannot hold -infinity"),
    ("day", "'5874897-12-31'", "day: DATE cannot hold 5874897-12-31"),
    ("day", "'4714-11-24 BC'", "day: DATE cannot hold 4714-11-24 BC"),
    ("clock", "'24:00'", "clock: TIME(6) cannot hold 24:00:00"),
    ("price", "'NaN'", "price: NUMBER(12,4) cannot hold NaN"),
    ("js", "'[1e400]'", "js: VARIANT cannot hold the number 1e400 exactly"),
    ("js", "'1.0000000000000001e0'", "js: VARIANT cannot hold the number 1.0000000000000001e0 exactly"),
    ("js", """'["\\ud800"]'""", "js: VARIANT cannot hold half of a surrogate pair"),
    ("jb", f"'{'7' * 39}'", f"jb: VARIANT cannot hold the number {'7' * 39} exactly"),
    ("free_list", f"'{{{'7' * 39}}}'", f"free_list: VARIANT cannot hold the number {'7' * 39} exactly"),
    (
        "jb",
        f"to_jsonb(repeat('x', {TEXT_LIMIT}))",
        f"jb: {TEXT_LIMIT + 2} bytes; VARIANT holds at most {TEXT_LIMIT}",
    ),
    (
        "txt",
        f"repeat('x', {TEXT_LIMIT + 1})",
        f"txt: {TEXT_LIMIT + 1} bytes; VARCHAR holds at most {TEXT_LIMIT}",
    ),
    (
        "txt",
        f"repeat('é', {TEXT_LIMIT // 2 + 1})",
        f"txt: {TEXT_LIMIT + 2} bytes; VARCHAR holds at most {TEXT_LIMIT}",
    ),
    (
        "bin",
        f"decode(repeat('00', {BINARY_LIMIT + 1}), 'hex')",
        f"bin: {BINARY_LIMIT + 1} bytes; BINARY holds at most {BINARY_LIMIT}",
    ),
]


def test_what_the_target_cannot_hold_is_rejected_and_its_neighbours_arrive(typed: Lab) -> None:
    """Rows with an odd number are bad, each in its own way."""
    good = range(0, 2 * len(REFUSED) + 1, 2)
    typed.run(
        f"insert into t (id) select generate_series(0, {good[-1]}, 2)",
        *(
            f"insert into t (id, {column}) values ({number}, {value})"
            for number, (column, value, _) in zip(range(1, good[-1], 2), REFUSED, strict=True)
        ),
    )
    follower = typed.follow()
    assert sorted(follower.tick()) == list(good)
    rejected = {int(row.key["id"] or 0): (row.column, row.reason) for row in follower.rejected}
    assert len(follower.rejected) == len(REFUSED)
    for number, (column, value, reason) in zip(range(1, good[-1], 2), REFUSED, strict=True):
        assert rejected[number] == (column, reason), value[:40]


def test_the_last_value_that_it_can_hold_arrives(typed: Lab) -> None:
    values = [
        ("tz", "'0001-01-01 00:00+00'"),
        ("tz", "'9999-12-31 23:59:59.999999+00'"),
        ("day", "'0001-01-01'"),
        ("day", "'9999-12-31'"),
        ("clock", "'23:59:59.999999'"),
        ("jb", f"'{'7' * 38}'"),
        ("jb", f"""'["{"7" * 39}", "1e400", "2E999"]'"""),
        ("js", "'[1.5e300, 5e-324, 1E2]'"),
        ("js", """'["\\ud83d\\ude00", "\\u0000"]'"""),
        ("txt", f"repeat('x', {TEXT_LIMIT})"),
        ("bin", f"decode(repeat('00', {BINARY_LIMIT}), 'hex')"),
    ]
    typed.run(
        *(f"insert into t (id, {column}) values ({at}, {value})" for at, (column, value) in enumerate(values))
    )
    follower = typed.follow()
    assert sorted(follower.tick()) == list(range(len(values)))
    assert follower.rejected == []


def test_a_row_is_rejected_once_however_many_values_are_bad(typed: Lab) -> None:
    typed.run("insert into t (id, day, clock) values (1, 'infinity', '24:00')")
    follower = typed.follow()
    follower.tick()
    assert len(follower.rejected) == 1


def test_a_null_in_the_key_is_rejected(lab: Lab) -> None:
    lab.run("create table t (a int, b int, updated_at timestamptz default now(), unique (a, b))")
    lab.run("insert into t values (1, 2), (1, null)")
    follower = lab.follow(pk=["a", "b"])
    assert follower.tick() == [(1, 2)]
    assert [(row.key, row.reason) for row in follower.rejected] == [
        ({"a": "1", "b": None}, "b: the key is NULL")
    ]


def test_keys_of_rejected_rows_find_them_again(lab: Lab) -> None:
    """Whatever type the key is of, infinite values included."""
    kinds = {
        "i": ("int", "7"), "t": ("text", "'it''s \\ \"x\"'"), "b": ("bytea", "'\\xdead'"), "d": ("date", "'infinity'"),
        "z": ("timestamptz", "'2026-01-02 03:04:05.000006+00'"), "n": ("numeric(10,2)", "1.50"),
        "u": ("uuid", f"'{UUID(int=5)}'"),
        "f": ("float8", "0.1"), "o": ("bool", "true"), "y": ("timestamp", "'0044-03-15 BC'"),
    }  # fmt: skip
    lab.run(
        f"create table t ({', '.join(f'{name} {kind}' for name, (kind, _) in kinds.items())}, bad time,"
        f" updated_at timestamptz default now(), primary key ({', '.join(kinds)}))",
        f"insert into t values ({', '.join(value for _, value in kinds.values())}, '24:00')",
    )
    follower = lab.follow(pk=list(kinds))
    follower.tick()
    (rejected,) = follower.rejected
    (payload,) = payloads(lab.admin, follower.plan, [rejected.key])
    assert payload is not None
    assert payload["bad"] == "24:00:00"
    pages = list(read_keys(lab.source, follower.plan, [rejected.key]))
    assert [row.key for page in pages for row in page.rejected] == [rejected.key]


def test_an_enum_made_after_the_connection_was_opened_arrives_as_text(lab: Lab) -> None:
    lab.run("create table t (id int primary key, updated_at timestamptz default now())")
    follower = lab.follow()
    follower.tick()
    lab.run("create type mood as enum ('fine')", "create domain feeling as mood")
    lab.run("alter table t add m mood, add f feeling, add a mood[]")
    lab.run("insert into t (id, m, f, a) values (1, 'fine', 'fine', '{fine}')")
    follower.plan = lab.plan()
    follower.tick()
    assert {name: follower.copy[1][name] for name in "mfa"} == {"m": "fine", "f": "fine", "a": '["fine"]'}


def test_other_types_arrive_as_their_own_text(lab: Lab) -> None:
    lab.run("create type pair as (a int, b text)", "create domain positive as int check (value > 0)")
    values = {
        "iv": ("interval", "'1 year 2 mons 3 days 04:05:06.7'", "1 year 2 mons 3 days 04:05:06.7"),
        "ttz": ("timetz", "'04:05:06+02'", "04:05:06+02"), "ip": ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
        "bits": ("bit(3)", "'101'", "101"), "m": ("money", "12.34", "12.34"), "r": ("int4range", "'[1,5)'", "[1,5)"),
        "c": ("pair", "row(1,'x')", '{"a":1,"b":"x"}'), "p": ("positive", "5", 5),
        "o": ("oid", "4294967295", 4294967295),
        "two": ("int[][]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"),
        "neg": ("numeric(5,-2)", "12345", "12300"), "wide": ("numeric(50,10)", "1.5", "1.5000000000"),
    }  # fmt: skip
    lab.run(
        f"create table t (id int primary key, {', '.join(f'{n} {kind}' for n, (kind, _, _) in values.items())},"
        " updated_at timestamptz default now())",
        f"insert into t values (1, {', '.join(value for _, value, _ in values.values())})",
    )
    follower = lab.follow()
    follower.tick()
    assert {name: follower.copy[1][name] for name in values} == {
        name: text for name, (_, _, text) in values.items()
    }


def test_text_that_is_not_utf8_is_rejected(postgres: EmbeddedPostgres) -> None:
    """Only a database with encoding SQL_ASCII can hold it."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute("create database plain_bytes encoding 'SQL_ASCII' locale 'C' template template0")
        try:
            with lab_in(postgres.dsn("plain_bytes")) as lab:
                lab.run("set client_encoding to 'UTF8'")
                lab.run("create table t (id int primary key, v text, updated_at timestamptz default now())")
                lab.run("insert into t values (1, 'ok'), (2, convert_from('\\xff', 'SQL_ASCII'))")
                follower = lab.follow()
                assert follower.tick() == [1]
                assert [row.reason for row in follower.rejected] == ["v: the text is not UTF-8"]
                with lab.source.connect() as conn:
                    shown = payloads(conn, follower.plan, [{"id": "1"}, follower.rejected[0].key])
                assert [row and row["v"] for row in shown] == ["ok", "\\xff"]
        finally:
            admin.execute("drop database plain_bytes with (force)")


def test_the_last_watermark_is_exact_and_finite(typed: Lab) -> None:
    typed.run(
        "insert into t (id, tz, day) values (1, '9999-12-31 23:59:59.999999+00', '2026-02-28'),"
        " (2, 'infinity', 'infinity')"
    )
    for column, last in (("tz", "9999-12-31 23:59:59.999999+00"), ("day", "2026-02-28")):
        follower = typed.follow(watermark_column=column)
        follower.tick()
        assert follower.checkpoint is not None
        assert follower.checkpoint.last_watermark == last


def test_a_watermark_that_is_not_loaded_is_followed_all_the_same(lab: Lab) -> None:
    lab.run(
        "create table t (id int primary key, updated_at timestamptz default now())",
        "insert into t values (1)",
    )
    follower = lab.follow(columns={"exclude": ["updated_at"]})
    follower.tick()
    assert follower.copy == {1: {"id": 1}}
    assert follower.checkpoint is not None
    assert follower.checkpoint.last_watermark is not None


def test_moments_are_utc_whatever_zone_wrote_them(typed: Lab) -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    moment = datetime(2026, 1, 1, 2, 3, 4, 567891, tzinfo=zone)
    typed.admin.execute(
        "insert into t (id, tz, day, clock) values (1, %s, %s, %s)", [moment, date.max, time.max]
    )
    follower = typed.follow()
    follower.tick()
    assert follower.copy[1]["tz"] == moment.astimezone(UTC)
    assert (follower.copy[1]["day"], follower.copy[1]["clock"]) == (date.max, time.max)
