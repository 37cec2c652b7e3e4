"""A standby that the log waits for is away.

Group: history
Danger: With `synchronized_standby_slots` the server sends no log that a standby has not received. While that standby is
away, a session gets nothing, and the function that reads the log waits for ever: the tables look idle, or the worker
hangs.
Answer: Before each read pgsnow asks how far the standbys are. After three seconds in which one of them has received
nothing, the tables fail with its slot's name and the two ways out; when it is back, the next tick reads on.
"""

from __future__ import annotations

import pytest

from tests.edges.log_shop import assert_all_arrives, configure, in_the_log
from tests.edges.own_server import OwnServer, Shop
from tests.progress import wait_until


@pytest.mark.parametrize("reader", ["session", "peek"])
def test_the_standbys_slot_is_named_and_the_log_is_read_on_afterwards(
    shop: Shop, own_server: OwnServer, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way the log is read, the runs fail with the reason, nothing is lost, and the slot is not given up."""
    monkeypatch.setattr("pgsnow.sync.stream.standbys.STANDBY_SECONDS", 0.2)
    shop.options["log_reader"] = reader
    with in_the_log(shop, own_server):
        own_server.sql("select pg_create_physical_replication_slot('second', true)")
        configure(own_server, synchronized_standby_slots="second")
        shop.write(500)
        with shop.engine() as engine:
            reports = engine.tick().tables
        assert [report.error_type for report in reports] == ["SlotBusy"] * 2
        assert "standby with the slot second (synchronized_standby_slots)" in (reports[0].error or "")
        assert "Start that standby" in (reports[0].advice or "")
        configure(own_server)
        wait_until(lambda: own_server.sql("show synchronized_standby_slots") == [("",)], "the setting stays")
        shop.write(501)
        assert_all_arrives(shop, 1)
