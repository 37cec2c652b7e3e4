"""`live_view`: a view shows staged rows before they are loaded."""

from __future__ import annotations

import pytest

from tests.integration.sync.test_deferred import Journal, change, fifty_days_go_by, staged_rows, tick
from tests.world import World

SHOWN = "select id, name, balance, profile, _pgsnow_fence from analytics.users_live order by id"


@pytest.fixture
def live(world: World) -> World:
    """Users with a live view, whose first load is done; later changes are not due while the test runs."""
    world.tables[0] |= {"load_every": "50d", "live_view": True, "deletes": "hard", "sweep_every": 0}
    world.sql("insert into users select g, 'n' || g, g, '{\"a\": [1]}' from generate_series(1, 20) g")
    assert "created view" in " ".join(tick(world).events)
    return world


def shown(world: World) -> dict[int, str]:
    return dict(world.snowflake("select id, name from analytics.users_live"))


def in_source(world: World) -> dict[int, str]:
    return dict(world.sql("select id, name from users"))


def test_staged_rows_are_shown_and_only_loads_send_a_statement_for_it(live: World) -> None:
    """Ticks that stage rows send the upload alone; the view is replaced once after a load. Files of loaded rows stay for an hour,
    and the rows that they have are shown once."""
    journal = Journal(live)
    change(live, "staged")
    live.sql("insert into users values (21, 'new', 21.5, '{\"b\": null}')")
    tick(live)
    assert [text.split()[0] for text in journal.statements] == ["PUT"]
    assert (staged_rows(live), shown(live)) == (11, in_source(live))
    change(live, "staged later", "id <= 3")
    tick(live)
    assert shown(live) == in_source(live)
    fifty_days_go_by(live)
    journal = Journal(live)
    tick(live)
    assert [text.split()[0] for text in journal.statements] == ["MERGE", "CREATE"]
    assert shown(live) == in_source(live)
    assert live.snowflake("select count(*), count(distinct id) from analytics.users_live") == [(21, 21)]
    assert live.sql(
        "select count(*) from sync_loaded_files where not_before > now() + interval '59 minutes'"
    ) == [(3,)]
