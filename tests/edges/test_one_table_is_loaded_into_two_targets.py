"""One table is loaded into two targets.

Group: process
Danger: a table has two entries in sync_config.yaml, for example one with hashed columns for analysts. Each run says
that the table was altered after it was planned, and plans it again, as long as both entries exist.
Answer: each entry has a checkpoint of its own, and the table's definition is compared once for both. Nothing needs to
be done.
"""

from __future__ import annotations

from pgsnow.model.report import Status
from tests.world import MemoryWorld


def test_no_alteration_is_noticed(memory_world: MemoryWorld) -> None:
    """The fingerprint of a table is the same, however many entries ask for it."""
    memory_world.tables += [memory_world.tables[0] | {"name": "copy", "target": "analytics.copy"}]
    memory_world.sql("create table other (id int primary key); insert into other values (1)")
    memory_world.tables += [{"source": "public.other", "target": "analytics.other", "mode": "full"}]
    with memory_world.engine() as engine:
        for number in range(3):
            memory_world.sql(f"insert into users (id) values ({number})")
            reports = engine.tick().tables
            assert [report.status for report in reports[:2]] == [Status.OK] * 2
            assert number == 0 or [report.events for report in reports[:2]] == [(), ()]
    memory_world.assert_equal()
