"""A row of a table with `insert_only` is updated in the source.

Group: history
Danger: rows of such a table are copied without a MERGE, so the new version of a row would stand beside the old one, and
sums over the table would be too high, without a word.
Answer: each run compares the server's number of updates on the table with the one of the read before. If it differs,
the run says so, merges, and removes rows that are twice. On a standby, which counts nothing, `pgsnow
verify` finds them.
"""

from __future__ import annotations

import pytest

from tests.integration.sync.test_insert_only import add, begin, tick
from tests.progress import wait_until
from tests.world import MemoryWorld

UPDATES = "select n_tup_upd from pg_stat_all_tables where relid = 'users'::regclass"


@pytest.fixture
def events(memory_world: MemoryWorld) -> MemoryWorld:
    begin(memory_world)
    return memory_world


def test_an_updated_row_is_noticed_by_the_servers_counter_and_stays_once(events: MemoryWorld) -> None:
    """Also if the counter showed the update only after the row had been copied."""
    known = events.sql(UPDATES)
    events.sql("update users set name = 'changed', updated_at = now() where id = 2")
    wait_until(lambda: events.sql(UPDATES) != known, "the server has counted the update")
    add(events)
    report = tick(events)
    assert any(
        "insert_only: the source shows 1 update since the last read" in event for event in report.events
    )
    assert report.rows_updated == 1
    events.assert_equal()
    # As after a counter that came late: the new version of a row was copied beside the old one.
    target = events.target()
    target.rows.append(dict(target.rows[0]))
    events.sql("update sync_watermarks set target_rows = null")
    events.sql("update users set name = 'again', updated_at = now() where id = 3")
    wait_until(lambda: events.sql(UPDATES) > [(known[0][0] + 1,)], "the server has counted the update")
    tick(events)
    events.assert_equal()
