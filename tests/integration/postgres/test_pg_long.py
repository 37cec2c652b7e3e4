"""Values that are longer than Snowflake takes are rejected by their row, and stay in Postgres: whatever their size, and
however many there are, the read goes on and the memory is that of any other read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT
from pgsnow.postgres.read.by_key import read_keys
from tests.integration.postgres.lab import Lab
from tests.progress import CEILING

MEGABYTE = 1024 * 1024
WIDE = 70
BOUND = 350
"""MB. A process that has read nothing of note has about 130; one of these values twice would be 600."""


def read_alone(lab: Lab) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.integration.postgres.read_alone", lab.dsn]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CEILING)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_value_of_hundreds_of_megabytes_never_reaches_us(lab: Lab) -> None:
    lab.run(
        "create table t (id int primary key, v text, j jsonb, b bytea, l text[], updated_at timestamptz default now())",
        f"insert into t (id, v) values (1, 'short'), (2, repeat('x', {300 * MEGABYTE}))",
        f"insert into t (id, j) values (3, to_jsonb(repeat('y', {30 * MEGABYTE}))), (4, '{{\"a\": 1}}')",
        f"insert into t (id, b) values (5, convert_to(repeat('z', {30 * MEGABYTE}), 'UTF8'))",
        f"insert into t (id, l) values (6, array[repeat('z', {30 * MEGABYTE})])",
    )
    found = read_alone(lab)
    assert found["keys"] == [1, 4]
    assert found["rejected"] == {
        "2": f"v: {300 * MEGABYTE} bytes; VARCHAR holds at most {TEXT_LIMIT}",
        "3": f"j: {30 * MEGABYTE + 2} bytes; VARIANT holds at most {TEXT_LIMIT}",
        "5": f"b: {30 * MEGABYTE} bytes; BINARY holds at most {BINARY_LIMIT}",
        "6": f"l: {30 * MEGABYTE + 4} bytes; VARIANT holds at most {TEXT_LIMIT}",
    }
    assert found["payloads"][0]["v"] == f"... ({300 * MEGABYTE} bytes)"
    assert found["megabytes"] < BOUND


def test_a_row_of_more_than_a_gigabyte_does_not_end_the_read(lab: Lab) -> None:
    """None of its values is too long, all together are more than one message of Postgres holds."""
    columns = [f"c{n}" for n in range(WIDE)]
    lab.run(
        f"create table t (id int primary key, {', '.join(f'{c} text' for c in columns)},"
        " updated_at timestamptz default now())",
        f"create table big as select repeat('x', {TEXT_LIMIT}) as v",
        "insert into t (id) values (1), (2), (3)",
        f"update t set {', '.join(f'{c} = big.v' for c in columns)} from big where id = 2",
        "update t set c0 = big.v from big where id = 3",
    )
    found = read_alone(lab)
    assert found["keys"] == [1, 3]
    assert found["rejected"] == {"2": f"the row's long values have {WIDE * TEXT_LIMIT} bytes together"}
    assert found["megabytes"] < BOUND


def test_long_values_follow_on_overflow_as_any_other(lab: Lab) -> None:
    """At the limit they are loaded; a byte more is cut, emptied, or rejected; also when read again by key."""
    kept, more = TEXT_LIMIT, TEXT_LIMIT + 1
    lab.run(
        "create table t (id int primary key, q text, n text, c text, w text, updated_at timestamptz default now())",
        f"insert into t (id, q, n) values (1, repeat('x', {kept}), repeat('x', {kept}))",
        f"insert into t (id, q) values (2, repeat('x', {more}))",
        f"insert into t (id, n) values (3, repeat('x', {more}))",
        f"insert into t (id, c, w) values (4, repeat('x', {more}), repeat('é', {kept // 2 + 1}))",
    )
    overflow = {"on_overflow": {"n": "null", "c": "clamp", "w": "clamp"}}
    follower = lab.follow(columns=overflow)
    changed: dict[str, int] = {}
    for page in read_keys(lab.source, follower.plan, [{"id": str(n)} for n in range(1, 5)]):
        for name, count in page.changed:
            changed[name] = changed.get(name, 0) + count
    assert changed == {"n": 1, "c": 1, "w": 1}
    assert sorted(follower.tick()) == [1, 3, 4]
    assert [rejected.reason for rejected in follower.rejected] == [
        f"q: {more} bytes; VARCHAR holds at most {kept}"
    ]
    assert len(follower.copy[1]["q"]) == len(follower.copy[4]["c"]) == kept
    assert follower.copy[3]["n"] is None
    assert follower.copy[4]["w"] == "é" * (kept // 2)


def test_a_row_that_only_may_be_too_long_is_read_once(lab: Lab) -> None:
    """What is stored in more than 64 KiB is read apart from the short rows, whole and once; also without short ones."""
    lab.run(
        "create table t (id int primary key, j jsonb, v text, updated_at timestamptz default now())",
        "insert into t (id, j) select 2, to_jsonb(string_agg(md5(g::text), '')) from generate_series(1, 4000) g",
        "insert into t (id, v) values (1, 'short'), (3, null)",
    )
    follower = lab.follow()
    assert sorted(follower.tick()) == [1, 2, 3]
    assert len(follower.copy[2]["j"]) == 4000 * 32 + 2
    alone = lab.follow(where="id = 2")
    assert alone.tick() == [2]
