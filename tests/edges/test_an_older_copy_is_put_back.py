"""A cold copy of the server's data directory is put back.

Group: history
Danger: The server gives transaction ids and WAL positions again that were read already. New rows would be taken for
rows that were read, and rows and updates that were lost with the newer state would stay in the target for ever.
Answer: pgsnow remembers where in the server's history it has read. It reads everything again, deletes the rows that
the source no longer has, and says so; until that has ended, `pgsnow status` shows the table as unverified.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges.own_server import OwnServer, Shop

pytestmark = pytest.mark.xdist_group("an_older_copy")


@pytest.fixture(scope="module")
def server(servers_dir: Path) -> Iterator[OwnServer]:
    own = OwnServer(servers_dir / "an_older_copy")
    yield own
    own.server.stop()


@pytest.fixture(params=["ledger elsewhere", "ledger in the source"])
def shop(server: OwnServer, database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    with server.database() as dsn:
        shop = Shop(dsn, tmp_path, database if request.param == "ledger elsewhere" else None)
        shop.write(1, 5)
        shop.tick()
        yield shop
        shop.close()


def test_nothing_stays_missing_lost_or_outdated(shop: Shop, server: OwnServer) -> None:
    """What was written under transaction ids that were given again arrives, and what the source lost is deleted."""
    server.keep_copy()
    shop.write(10, 3)
    shop.update(1, 2, name="lost")
    shop.tick()
    server.put_copy_back()
    shop.write(20, 12)
    reports = shop.tick()
    shop.assert_equal()
    for report in reports.values():
        assert any("everything is read again" in event for event in report.events)
    shop.tick()
    shop.assert_equal()
