"""A key column is renamed.

Group: keys
Danger: The configuration names the column as discovery found it, so after the rename its table is not synced any more.
Answer: A renamed column is followed by its attribute number, in the target too, and nothing is read again for it. The
event, `plan` and `check` name the place in sync_config.yaml to correct. This holds for the watermark and for other
columns that the configuration names, but not for the text of `where`.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.operations.check.tables import check_table
from pgsnow.postgres.connection import Source
from tests.world import MemoryWorld

NOTE = "column id was renamed to user_id; id in sync_config.yaml is taken for user_id: write user_id there"


@pytest.fixture
def users(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 5) g")
    return memory_world


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        return engine.tick().tables[0]


def test_the_table_is_synced_on_and_says_what_to_write(users: MemoryWorld) -> None:
    """In the tick that sees it and in later ones, also in another process; nothing but changes is read."""
    tick(users)
    users.sql(
        "alter table users rename id to user_id; update users set name = 'x', updated_at = now() where user_id = 1"
    )
    report = tick(users)
    assert (report.status, report.full_read, report.rows_read) == (Status.OK, None, 1)
    assert report.events[0] == NOTE
    assert set(users.target().columns) >= {"USER_ID", "NAME"}
    assert "ID" not in users.target().columns
    assert tick(users).status is Status.IDLE
    users.sql("insert into users (user_id, name) values (6, 'n6')")
    report = tick(users)
    assert (report.status, report.full_read, report.events) == (Status.OK, None, ())
    users.tables[0]["pk"] = "user_id"
    users.assert_equal()


def test_check_warns_and_does_not_fail(users: MemoryWorld) -> None:
    """As long as the configuration has the former name: what a run accepts, check accepts."""
    tick(users)
    users.sql("alter table users rename id to user_id")
    for _ in range(2):
        with users.engine() as engine, Source(users.settings.source).connect() as conn:
            known = engine.ledger.checkpoints.remembered()["public.users"]
            table = engine.config.tables[0]
            results, prepared = check_table(conn, table, users.settings.snowflake, known)
        assert prepared is not None
        assert prepared.plan.pk == ("user_id",)
        assert [(r.level.value, r.detail) for r in results if "renamed" in r.detail] == [
            ("warning", "column id was renamed to user_id, and is followed")
        ]
        tick(users)


def test_an_open_error_is_found_again_by_the_columns_new_name(users: MemoryWorld) -> None:
    """Before, a replay found no such row, and closed the error as if the row had been deleted."""
    users.sql("alter table users add column day date; update users set day = 'infinity' where id in (2, 3)")
    assert tick(users).status is Status.PARTIAL
    users.sql("alter table users rename id to user_id; update users set day = null where user_id = 2")
    with users.engine() as engine:
        ids = [error.id for error in engine.ledger.rejected_rows.listed()]
        assert engine.replay(ids).tables[0].rows_rejected == 1
        assert [error.key for error in engine.ledger.rejected_rows.listed()] == [{"user_id": "3"}]
    users.sql("update users set day = null, updated_at = now() where user_id = 3")
    tick(users)
    with users.engine() as engine:
        assert engine.ledger.rejected_rows.listed() == []


@pytest.mark.parametrize(
    ("renamed", "more"),
    [
        ("updated_at", {}),
        ("name", {"columns": {"exclude": ["name"]}}),
        ("name", {"columns": {"include": ["name", "updated_at"]}}),
        ("name", {"columns": {"rename": {"name": "called"}}}),
        ("name", {"transform": {"hash": ["name"], "salt": "s"}}),
        ("name", {"transform": {"mask": {"name": "all"}}}),
    ],
)
def test_any_column_that_the_configuration_names_is_followed(
    users: MemoryWorld, renamed: str, more: dict[str, Any]
) -> None:
    """What was left out, hashed or masked still is; nothing is read again."""
    users.tables[0] |= more
    tick(users)
    before = {tuple(row.items()) for row in users.target().rows}
    users.sql(f"alter table users rename {renamed} to other_name")
    report = tick(users)
    assert (report.error, report.full_read, report.rows_read) == (None, None, 0)
    now = [{("NAME" if k == "OTHER_NAME" and renamed == "name" else k): v for k, v in row.items()}
           for row in users.target().rows]  # fmt: skip
    values = {tuple(str(v) for _, v in row) for row in before}
    assert {tuple(str(v) for v in row.values()) for row in now} == values


def test_a_name_that_another_column_has_now_is_taken_at_its_word(users: MemoryWorld) -> None:
    """The configuration decides: the new column is the key from now on, and everything is read again for it."""
    tick(users)
    users.sql("alter table users rename id to old_id; alter table users add column id int")
    users.sql("update users set id = old_id + 100; alter table users alter id set not null, add unique (id)")
    report = tick(users)
    assert report.full_read is not None
    users.assert_equal()
