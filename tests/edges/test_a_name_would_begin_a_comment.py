"""A table's name has two dashes, which begin a comment in SQL.

Group: keys
Danger: the files of `"orders--2024"` are staged below a path with the table's name. In a path without quotes, Snowflake
takes `--` for the beginning of a comment: COPY and REMOVE would work on the whole stage, with files of other tables.
Answer: such dashes are written in another form in paths, as other characters are that a path cannot have. Column and
table names are always quoted and keep their dashes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.report import Status
from pgsnow.snowflake.names import folder_of
from pgsnow.sync.pipeline.load_batches import batch_name
from tests.world import World


@given(st.text(max_size=20) | st.text("-a.", max_size=20))
def test_no_path_has_a_comment(name: str) -> None:
    """Whatever a table is called, the path of its files needs no quotes."""
    plan: Any = SimpleNamespace(config=SimpleNamespace(name=f"public.{name}"))
    assert "--" not in folder_of(batch_name(plan, 17, 0))


def test_its_files_are_staged_copied_and_removed(world: World) -> None:
    """By a first load and by a merge; nothing is left in the stage."""
    world.sql(
        'create table "orders--2024" (id int primary key, "a--b" text, at timestamptz not null default now())'
    )
    world.sql("""insert into "orders--2024" select g, 'n' from generate_series(1, 10) g""")
    table = {"source": 'public."orders--2024"', "target": 'analytics."orders--2024"', "pk": "id"}
    world.tables = [table | {"watermark_column": "at", "load": "stage"}]
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
        world.sql("""update "orders--2024" set "a--b" = 'x', at = now()""")
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()
    assert world.leftovers() == []
