"""A connection leads to another server than the one before.

Group: connections
Danger: A connection string names several servers, or a balancer stands before replicas. One of them answers that lags
behind the one whose rows were loaded: those that it lacks look deleted.
Answer: Before deleted rows are searched for, pgsnow compares how far the server's log reaches. If it ends before what
was read, nothing is deleted, and the run says so; the next one searches again. Let the connection string name one
server.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pgsnow.testing.faults import PauseAt
from tests.edges.own_server import OwnServer, Shop
from tests.progress import CEILING

NAME = "analytics.swept"


@pytest.mark.parametrize(
    "ways",
    [{}, {"late_rows": "off"}, {"transform": {"hash": ["id"], "salt": "a salt of this table"}}],
    ids=["counted in the read", "counted later", "whole keys"],
)
def test_rows_that_a_lagging_server_lacks_are_not_deleted(
    shop: Shop, own_server: OwnServer, ways: dict[str, Any]
) -> None:
    """Between the load and the search, an older state of the server takes its place, as a replica that lags: the rows
    that were just loaded stay, though it does not show them. That holds for each way of searching."""
    shop.tables[0] |= {"sweep_every": "1ms", "sweep_share": "100%", "target": NAME, **ways}
    shop.tick()
    before = len(shop.target(NAME).rows)
    own_server.keep_copy()
    shop.write(50, 3)
    shop.sql("delete from users where id = 2")

    loaded = PauseAt("checkpointed")
    with shop.engine(loaded) as engine, ThreadPoolExecutor(1) as executor:
        ticking = executor.submit(engine.tick, ["public.users"])
        assert loaded.reached.wait(CEILING)
        own_server.put_copy_back()
        loaded.resume()
        (report,) = ticking.result().tables
    assert report.error_type == "SourceUnavailable"
    assert "it lags behind" in (report.error or "")
    assert report.rows_deleted == 0
    assert len(shop.target(NAME).rows) == before + 3
