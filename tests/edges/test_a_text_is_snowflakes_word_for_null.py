r"""A text is what Snowflake reads as NULL in files.

Group: values
Danger: a cell with the text `\N` arrives as NULL. By default, Snowflake takes this text for NULL in every file that is
copied by column names, in whatever column it stands, and reports nothing.
Answer: pgsnow's COPY states `NULL_IF = ()` and every other option of the file format that decides about a value, so
that neither a default nor a stage's own options change what is loaded. Nothing needs to be done.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import Status
from tests.world import World

SIZE = "gr\u00f6\u00dfe"
BACKSLASH_N = r"\N"
WORDS = r"""
insert into {} select g, (array['\N', 'NULL', '', '\\N', ' x '])[1 + g % 5] from generate_series(1, 10) g
"""
TABLES: dict[str, dict[str, Any]] = {
    "merged": {"late_rows": "off"},
    "copied": {},
    "waiting": {"load_every": "50d"},
    "replaced": {"mode": "full", "watermark_column": None},
    "collected": {"mode": "append", "watermark_column": None, "pk": None},
}
"""A table for each way to load files: all are filled and changed in the same two ticks."""


@pytest.fixture
def words(world: World) -> World:
    world.tables = []
    for name, more in TABLES.items():
        world.sql(
            f"create table {name} (id int primary key, {SIZE} text, at timestamptz not null default now())"
        )
        world.sql(WORDS.format(name))
        table = {"source": f"public.{name}", "target": f"analytics.{name}", "pk": "id", "load": "stage"}
        world.tables.append(
            {k: v for k, v in (table | {"watermark_column": "at"} | more).items() if v is not None}
        )
    return world


def test_the_text_arrives_by_every_way_that_reads_files(words: World) -> None:
    """Every text arrives as it is: by COPY of names and of a SELECT, in merges, replacements, appends and deferred
    loads. The column's name is in another script than ASCII, in lower case."""
    with words.engine() as engine:
        assert {table.status for table in engine.tick().tables} == {Status.OK}  # rows 1 to 5 stay as they are
        for name in TABLES:
            words.sql(f"update {name} set {SIZE} = '{BACKSLASH_N}', at = now() where id > 5")
        assert {table.status for table in engine.tick(load=True).tables} == {Status.OK}
    words.assert_equal()


def test_a_resync_reads_the_files_of_its_chunks_alike(words: World) -> None:
    """The shadow table of a resync in chunks is filled by COPY too."""
    words.tables = [
        table | {"max_mb_per_chunk": 0.004} for table in words.tables if table["source"] == "public.copied"
    ]
    words.sql(f"insert into copied select g, '{BACKSLASH_N}' from generate_series(11, 600) g")
    with words.engine() as engine:
        engine.tick()
        assert engine.tick(["public.copied"], resync=True).tables[0].status is Status.OK
    words.assert_equal()
