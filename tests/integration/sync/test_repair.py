"""Rows that differ are found and repaired in a target that answers in SQL."""

from __future__ import annotations

import json

from pgsnow.model.comparison.certificate import ComparisonMethod
from pgsnow.model.report import Status
from pgsnow.operations.repair.plan import find_repairs
from pgsnow.operations.repair.repair import repair_tables
from tests.world import World

COLUMNS = """
alter table users add column rate double precision, add column day date, add column at timestamptz,
    add column photo bytea, add column flag boolean, add column code uuid, add column small real
"""
ROWS = """
insert into users (id, name, balance, rate, day, at, photo, flag, code, small)
select g, 'n' || g, g / 7.0, g / 7.0, date '2024-01-01' + g, timestamptz '2024-01-01 12:00:00.5+02' + g * interval '1h',
    decode(lpad(to_hex(g), 4, '0'), 'hex'), g % 2 = 0, md5(g::text)::uuid, g / 3.0
from generate_series(1, 60) g
"""
DAMAGE = (
    "UPDATE ANALYTICS.USERS SET NAME = 'another' WHERE ID = 7",
    "UPDATE ANALYTICS.USERS SET RATE = 0.5 WHERE ID = 8",
    "UPDATE ANALYTICS.USERS SET ID = 1000 WHERE ID = 9",
    "UPDATE ANALYTICS.USERS SET ID = 10 WHERE ID = 11",
)
"""A row with another name, one with another double, a ghost in place of 9, a duplicate of 10 in place of 11."""


def test_verify_every_compares_contents_and_repairs_what_differs(world: World) -> None:
    """Equal rows of every type have equal hashes on both sides, and a row that a person has changed is loaded again. A
    key that only the target has is deleted by the next sweep."""
    world.tables[0] |= {"verify_every": "0.001s", "verify_repair": True}
    world.sql(COLUMNS)
    world.sql(ROWS)
    with world.engine() as engine:
        engine.tick()
        equal = engine.tick().tables[0]
        certificate = engine.ledger.certificates.of("public.users").certificates[ComparisonMethod.CONTENT]
        assert (certificate.rows, certificate.differences) == (60, 0), equal.events
        for statement in DAMAGE:
            world.snowflake(statement)
        report = engine.tick().tables[0]
        assert report.error is None
        certificate = engine.ledger.certificates.of("public.users").certificates[ComparisonMethod.CONTENT]
        events = json.dumps(report.events)
        assert "6 rows differ (3 changed, 2 missing, 1 duplicate)" in events, events
        engine.tick()
        engine.tick()
        state = engine.ledger.certificates.of("public.users")
    assert state.differences is None
    assert report.status is Status.OK
    world.assert_equal()


def test_repair_finds_every_kind_of_difference_repairs_it_and_compares_again(world: World) -> None:
    """The person sees the number of rows of each kind and the first keys before anything is changed."""
    world.sql(COLUMNS)
    world.sql(ROWS)
    with world.engine() as engine:
        engine.tick()
        for statement in DAMAGE:
            world.snowflake(statement)
        [found] = find_repairs(engine, None)
        assert found.counts == {"changed": 3, "missing": 2, "ghost": 1, "duplicate": 1}
        assert found.tally is not None
        assert found.tally.first["ghost"] == ["1000"]
        repair_tables(engine, [found])
        assert (found.left, found.status) == ({}, "ok"), found.events
        state = engine.ledger.certificates.of("public.users")
        certificate = state.certificates[ComparisonMethod.CONTENT]
        assert (certificate.by, certificate.differences, certificate.repaired) == ("repair", 7, 7)
        assert state.differences is None
    world.assert_equal()


def test_without_a_repair_the_differences_are_open(world: World) -> None:
    world.sql("insert into users (id, name) values (1, 'a'), (2, 'b'), (3, 'c')")
    world.tables[0]["deletes"] = "off"
    with world.engine() as engine:
        engine.tick()
        world.snowflake("UPDATE ANALYTICS.USERS SET ID = 9 WHERE ID = 1")
        [found] = find_repairs(engine, None)
        assert (found.counts, found.still_different) == ({"missing": 1, "ghost": 1}, {"missing": 1})
        assert found.keeps == "deletes: off"
        repair_tables(engine, [found])
        assert found.left == {"ghost": 1}
        assert found.still_different == {}
        [again] = find_repairs(engine, None, ghosts=True)
        repair_tables(engine, [again], ghosts=True)
        assert again.left == {}
    world.assert_equal()


def test_a_table_whose_rows_have_no_key_is_compared_and_named_with_the_command_that_helps(
    world: World,
) -> None:
    """One that is equal needs nothing; one that is not loaded yet is left alone."""
    world.sql("create table bag (a int, b text); insert into bag select 1, 'x' from generate_series(1, 3)")
    world.tables.append({"source": "public.bag", "target": "analytics.bag", "mode": "full"})
    with world.engine() as engine:
        [waits, _] = find_repairs(engine, None)
        assert waits.refused is not None
        assert waits.refused.startswith("it has not been loaded yet")
        engine.tick()
        [_, equal] = find_repairs(engine, None)
        assert (equal.refused, equal.counts, equal.error) == (None, {}, None)
        world.snowflake("UPDATE ANALYTICS.BAG SET B = 'y'")
        [_, other] = find_repairs(engine, None)
    assert other.advice == "pgsnow resync public.bag"
    assert not other.is_repairable
