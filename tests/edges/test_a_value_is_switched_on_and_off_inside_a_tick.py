"""A value is switched on and off inside one tick.

Group: history
Danger: A table that is read as a whole is hashed first, and read a moment later. If it changed in between, the hash
describes a content that was never read, and the target stays wrong until the next change.
Answer: The hash that is remembered is computed from the rows that the same statement has read. Nothing is to be done.
"""

from __future__ import annotations

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.testing.faults import AtPhase
from tests.world import MemoryWorld

FLAGS = {"source": "public.flags", "target": "analytics.flags", "mode": "full"}
DISAGREEING = """
create table seen (by_probe text, by_read text);
insert into seen values ('off', 'off');
create view flags as
select 'maintenance' as name,
       case current_setting('transaction_isolation') when 'repeatable read' then by_read else by_probe end as value
from seen;
"""
"""A view of which a probe and a read see what a test wants them to see."""


@pytest.fixture
def flags(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.tables = [dict(FLAGS)]
    return memory_world


def tick(world: MemoryWorld, *observers: AtPhase) -> TableReport:
    with world.engine(*observers) as engine:
        return engine.tick().tables[0]


def loaded(world: MemoryWorld) -> list[object]:
    return [row["VALUE"] for row in world.target("analytics.flags").rows]


def test_what_the_probe_saw_and_the_read_did_not_is_read_by_the_next_tick(flags: MemoryWorld) -> None:
    """The table is off when it is read, though it was on when it was probed: later, on is still a change."""
    flags.sql("create table flags (name text, value text); insert into flags values ('maintenance', 'off')")
    assert tick(flags).status is Status.OK
    # a new column is added to the target after the probe and before the read
    flags.sql("alter table flags add column note text; update flags set value = 'on'")
    off = AtPhase("evolved", lambda: flags.sql("update flags set value = 'off'"))
    assert tick(flags, off).status is Status.OK
    assert off.fired
    assert loaded(flags) == ["off"]
    flags.sql("update flags set value = 'on'")
    assert tick(flags).status is Status.OK
    assert loaded(flags) == ["on"]
    flags.assert_equal()


def test_a_view_that_each_statement_sees_otherwise_is_read_until_both_agree(flags: MemoryWorld) -> None:
    """Statements of one tick may differ without any writer: by volatile functions, or on foreign servers. What was
    read is what is remembered."""
    flags.sql(DISAGREEING)
    tick(flags)
    flags.sql("update seen set by_probe = 'on'")
    assert tick(flags).status is Status.OK
    assert loaded(flags) == ["off"]
    flags.sql("update seen set by_read = 'on'")
    assert tick(flags).status is Status.OK
    assert loaded(flags) == ["on"]
    assert tick(flags).status is Status.IDLE


@pytest.mark.parametrize("mode", ["full", "append"])
def test_the_hash_of_what_was_read_is_the_probes_hash_of_the_same_content(
    flags: MemoryWorld, mode: str
) -> None:
    """Values of many types, NULLs, equal rows, collations of several columns, and no row at all: the next tick finds
    nothing to do, so nothing is paid for twice."""
    flags.tables[0] |= {"mode": mode}
    flags.sql(
        'create table flags (b bool, n int, f float8, d numeric, t text collate "C", u text collate "ucs_basic",'
        " at timestamptz, i interval, x bytea, j jsonb, a int[], m money, e time)"
    )
    tick(flags)
    assert tick(flags).status is Status.IDLE
    flags.sql(
        "insert into flags select g % 2 = 0, g, g / 3.0, g / 7.0, 'é' || g, repeat('long', 50000),"
        " now(), interval '1 mon' * g, decode('ff00', 'hex'), '{\"a\": 1.0}', array[g, null], g, '12:00'"
        " from generate_series(1, 40) g; insert into flags select * from flags; insert into flags (n) values (null)"
    )
    assert tick(flags).status is Status.OK
    assert tick(flags).status is Status.IDLE
