"""A view takes the place of the target.

Group: target
Danger: a view, or a dynamic or external table, has the columns of a table, so that it is found out only by a rejected
MERGE, after rows were read, uploaded and copied: with each tick again.
Answer: what kind of object a target is, is looked up whenever its columns are, before a row is staged. `run`, `check`
and `plan` say that it is a view and what to do.
"""

from __future__ import annotations

import pytest

from pgsnow.model.errors import TargetConflict
from pgsnow.model.table import TargetName
from pgsnow.operations.check.check import run_checks
from pgsnow.snowflake.schema.target_table import refuse_other_kinds
from pgsnow.snowflake.session import Result
from tests.world import World

KINDS = ("created_on", "name", "kind", "is_dynamic")


class Shown:
    """A session that answers every statement with these rows of SHOW OBJECTS."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self._rows = [("2026-01-01", *row) for row in rows]

    def execute(self, _sql: str) -> Result:
        return Result(rows=list(self._rows), columns=KINDS, query_id="")


def test_a_view_as_target_is_told_before_anything_is_staged(world: World) -> None:
    """The target is looked at first, or a MERGE into it fails, if the process has looked a moment ago. Checkpoint and
    rows stay, and everything arrives once the table is back."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 20
        world.snowflake("alter table analytics.users rename to analytics.base")
        world.snowflake("create view analytics.users as select * from analytics.base")
        world.sql("insert into users (id, name) select g, 'm' from generate_series(21, 40) g")
        for stages in (True, False):
            before = world.emulator.noted()
            report = engine.tick(["public.users"]).tables[0]
            sent = world.emulator.statements_since(before)
            assert report.error_type == "TargetConflict"
            assert "is a view" in (report.error or "")
            assert "drop that object" in (report.advice or "")
            assert any(text.startswith(("PUT", "MERGE")) for text in sent) == stages
        [found] = [each for each in run_checks(world.config, world.settings) if "target of" in each.name]
        assert (str(found.level), "is a view" in found.detail) == ("failed", True)
        world.snowflake("drop view analytics.users")
        world.snowflake("alter table analytics.base rename to analytics.users")
        assert engine.tick(["public.users"]).tables[0].rows_inserted == 20
    world.assert_equal()


def test_a_view_as_target_of_a_table_that_is_replaced_as_a_whole_is_told_first_too(world: World) -> None:
    """Here the rows are staged as a whole before the target is touched: once, and not with every attempt."""
    world.tables[0] = {"source": "public.users", "target": "analytics.users", "mode": "full", "load": "stage"}
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_inserted == 20
        world.snowflake("alter table analytics.users rename to analytics.base")
        world.snowflake("create view analytics.users as select * from analytics.base")
        world.sql("delete from users where id > 10")
        for _ in range(2):
            before = world.emulator.noted()
            assert engine.tick(["public.users"]).tables[0].error_type == "TargetConflict"
            sent = world.emulator.statements_since(before)
            assert not any(text.startswith("PUT") for text in sent)


@pytest.mark.parametrize(
    ("kind", "dynamic", "found"),
    [
        ("VIEW", "N", "a view"),
        ("MATERIALIZED VIEW", "N", "a materialized view"),
        ("EXTERNAL_TABLE", "N", "an external table"),
        ("TABLE", "Y", "a dynamic table"),
    ],
)
def test_every_object_that_takes_no_rows_is_named(kind: str, dynamic: str, found: str) -> None:
    """The kind is the one that Snowflake shows, of the object with exactly this name."""
    session = Shown(("XUSERS", "TABLE", "N"), ("USERS", kind, dynamic))
    with pytest.raises(TargetConflict, match=f"is {found}"):
        refuse_other_kinds(session, TargetName("D", "S", "USERS"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["TABLE", "TRANSIENT", "TEMPORARY"])
def test_every_kind_of_ordinary_table_is_accepted(kind: str) -> None:
    """Also a target of which nothing is shown is left to its statements."""
    refuse_other_kinds(Shown(("USERS", kind, "N")), TargetName("D", "S", "USERS"))  # type: ignore[arg-type]
    refuse_other_kinds(Shown(), TargetName("D", "S", "USERS"))  # type: ignore[arg-type]
