"""The server gives up a slot, or is put back to an older state.

Group: history
Danger: Above `max_slot_wal_keep_size`, or after `idle_replication_slot_timeout`, the server invalidates the slot, and
the log of that time is gone. After a restore the slot is there, at an older position, and the log goes on differently.
Answer: The run says what the server did. Tables are read once without the log, from where they were, with a search for
deleted rows, and follow a new slot; after a restore everything is read again.
"""

from __future__ import annotations

import pytest

from tests.edges.log_shop import (
    assert_all_arrives,
    configure,
    generation,
    in_the_log,
    tick,
    ticks_until_streaming,
)
from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until

LOST = "select wal_status from pg_replication_slots"


def change(shop: Shop, number: int) -> None:
    shop.write(500 + number)
    shop.update(1, name=f"lost {number}")
    shop.sql(f"delete from items where id = {number + 3}; update items set id = {600 + number} where id = 3")


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        pytest.param("idle_replication_slot_timeout", "1s", "idle_timeout", marks=pytest.mark.thorough),
        ("max_slot_wal_keep_size", "1MB", "wal_removed"),
    ],
)
def test_nothing_is_lost_with_the_slot(
    shop: Shop, own_server: OwnServer, setting: str, value: str, told: str
) -> None:
    """The reason of the server is in the events, no table is read as a whole, and the log is followed again."""
    with in_the_log(shop, own_server):
        made = generation(shop)
        configure(own_server, **{setting: value})
        change(shop, 1)

        def lost() -> bool:
            for _ in range(4):
                shop.sql("select pg_switch_wal(); update items set name = name where id = 1")
            shop.sql("checkpoint")
            return own_server.sql(LOST) == [("lost",)]

        wait_until(lost, "the server keeps the slot")
        reports = tick(shop)
        for report in reports.values():
            assert report.full_read is None
            assert any(f"was invalidated by the server: {told}" in event for event in report.events)
        shop.assert_equal()
        configure(own_server)
        ticks_until_streaming(shop)
        assert generation(shop) > made
        assert_all_arrives(shop, 1)


@pytest.mark.thorough
def test_an_older_state_of_the_server_has_the_slot_too(shop: Shop, own_server: OwnServer) -> None:
    """What went with the newer state leaves the target, and what the application writes afterwards arrives, although
    the log is soon longer than it was."""
    with in_the_log(shop, own_server):
        own_server.keep_copy()
        change(shop, 1)
        tick(shop)
        own_server.put_copy_back()
        shop.write(700, 60)
        shop.sql("select pg_logical_emit_message(false, 'x', repeat('y', 700000))")
        assert all(report.full_read for report in tick(shop).values())
        shop.assert_equal()
        ticks_until_streaming(shop)
        assert_all_arrives(shop, 2)
