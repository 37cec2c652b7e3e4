"""The role may not create views, and a table has `live_view: true`.

Group: account
Danger: The view is an addition for readers. Without the grant, no row of the table would be loaded any more.
Answer: Rows are staged and loaded as without the view, and an event names the grant. After an hour, or in a new
process, the view is tried again. `pgsnow grants` prints the grant.
"""

from __future__ import annotations

from tests.edges.test_a_role_may_not_create_a_file_format import DENIED, refuse, tick
from tests.world import World


def test_rows_are_loaded_without_the_view(world: World) -> None:
    """One event, not one in each tick."""
    world.tables[0] |= {"load_every": "10m", "live_view": True}
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    refuse(world, DENIED | {"containing": "CREATE VIEW"})
    try:
        reports = [tick(world, load=True), tick(world, load=True)]
        told = ["CREATE VIEW" in " ".join(report.events) for report in reports]
        assert told == [True, False]
    finally:
        refuse(world)
    world.close_engine()
    assert "created view" in " ".join(tick(world, load=True).events)
