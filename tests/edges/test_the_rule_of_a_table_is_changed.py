"""A table's `where` or its transform is changed.

Group: process
Danger: `where: tenant = 1` becomes `where: tenant = 2`. Everything is read again, and the rows of tenant 1 stay in the
target as if they still were selected. The run is "ok".
Answer: the table is `unverified`: each run and `status` say why, and name the full refresh that deletes the rows which
are not selected any more. The doubt also ends when `verify` finds no difference.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import TableReport
from tests.world import MemoryWorld


def run(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(**options).tables
    assert report.ok
    return report


@pytest.fixture
def selecting(memory_world: MemoryWorld) -> MemoryWorld:
    """Ten users, of whom five are selected and synced."""
    memory_world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 10) g")
    memory_world.tables[0]["where"] = "id <= 5"
    run(memory_world)
    return memory_world


def keep_later_rows(row: dict[str, Any]) -> dict[str, Any] | None:
    return row if row["id"] > 5 else None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"where": "id > 5"}, "where"),
        ({"where": None, "transform": f"{__name__}:keep_later_rows"}, "transform"),
    ],
    ids=["where", "transform"],
)
def test_rows_of_the_old_rule_are_told_until_a_refresh(
    selecting: MemoryWorld, change: dict[str, Any], key: str
) -> None:
    """The command in the event removes them, and with them the doubt."""
    selecting.tables[0] |= change
    for _ in range(2):
        events = " ".join(run(selecting).events)
        assert f"`{key}`" in events
        assert "pgsnow run --select public.users --full-refresh" in events
    assert len(selecting.target().rows) == 10
    run(selecting, full_refresh=True)
    assert len(selecting.target().rows) == 5
    assert run(selecting).events == ()


def test_a_person_who_alters_the_target_meanwhile_ends_in_a_repair(selecting: MemoryWorld) -> None:
    """The target is not as it was loaded, which is more than a doubt about rows: everything is read again, and what is
    not selected is deleted."""
    selecting.tables[0]["where"] = "id > 5"
    run(selecting)
    rows = selecting.target().rows
    rows[:] = [row for row in rows if row["ID"] not in (1, 10)]
    selecting.sql("update users set name = 'new', updated_at = now() where id = 6")
    assert "rows, but had" in str(run(selecting).full_read)
    selecting.assert_equal()
    assert selecting.sql("select unverified from sync_watermarks") == [(None,)]


def test_a_change_that_selects_no_other_rows_is_not_told(selecting: MemoryWorld) -> None:
    """`batch_size`, a column that is left out, a rule that is removed: none of them removes rows."""
    selecting.tables[0] |= {"batch_size": 5, "columns": {"exclude": ["profile"]}, "where": None}
    assert not any("--full-refresh" in event for event in run(selecting).events)
    assert selecting.sql("select unverified from sync_watermarks") == [(None,)]


def test_a_refresh_with_the_new_rule_leaves_no_doubt(selecting: MemoryWorld) -> None:
    """The first run with the new rule is the refresh already."""
    selecting.tables[0]["where"] = "id > 5"
    run(selecting, full_refresh=True)
    assert run(selecting).events == ()
    selecting.assert_equal()
