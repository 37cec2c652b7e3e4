"""The database gives new columns a collation that ignores case.

Group: account
Danger: with `DEFAULT_DDL_COLLATION = 'en-ci'` in an account, `A` and `a` are one key. Their rows would overwrite each
other, in staging tables already, and DESCRIBE shows types in a form that is none of the expected ones.
Answer: pgsnow creates every text column without a collation, in targets, staging tables and shadow tables. A target of
your own may have a collation on columns outside the key. In a key it is an error that names the column, because keys
that differ would be equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.report import Status
from tests.world import World

WORDS = "create table words (word text primary key, meaning text, at timestamptz not null default now())"


@pytest.fixture
def words(world: World) -> Iterator[World]:
    """Two keys that differ in case alone, and a database whose texts ignore it."""
    database = world.settings.snowflake.database
    world.snowflake(f"ALTER DATABASE \"{database}\" SET DEFAULT_DDL_COLLATION = 'en-ci'")
    world.sql(WORDS)
    world.sql("insert into words values ('A', 'upper'), ('a', 'lower')")
    world.tables = [{"source": "public.words", "target": "analytics.words", "watermark_column": "at"}]
    yield world
    world.snowflake(f"ALTER DATABASE \"{database}\" SET DEFAULT_DDL_COLLATION = ''")


def test_keys_that_differ_in_case_alone_stay_apart(words: World) -> None:
    """In a first load, in merges, and in a column that is added later."""
    with words.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
        words.sql("alter table words add column more text; update words set more = 'B', at = now()")
        words.sql("insert into words values ('\u00e4', 'umlaut'), ('\u00c4', 'umlaut')")
        assert engine.tick().tables[0].status is Status.OK
    words.assert_equal()
    kinds = {row[0]: row[1] for row in words.snowflake("DESCRIBE TABLE ANALYTICS.WORDS")}
    assert not any("COLLATE" in kind for kind in kinds.values())


def test_a_target_with_a_collation_is_loaded_unless_it_is_in_the_key(words: World) -> None:
    """The collation of an existing column stays; the values arrive as they are."""
    words.snowflake("CREATE SCHEMA IF NOT EXISTS ANALYTICS")
    columns = 'WORD VARCHAR {} NOT NULL, MEANING VARCHAR(100), "AT" TIMESTAMP_TZ'
    words.snowflake(f"CREATE TABLE ANALYTICS.WORDS ({columns.format('')})")
    with words.engine() as engine:
        refused = engine.tick().tables[0]
        assert refused.error_type == "TargetConflict"
        assert "column WORD belongs to the key and has the collation 'en-ci'" in (refused.error or "")
        words.snowflake("DROP TABLE ANALYTICS.WORDS")
        collate = "COLLATE ''"
        words.snowflake(f"CREATE TABLE ANALYTICS.WORDS ({columns.format(collate)})")
        assert engine.tick().tables[0].status is Status.OK
    words.assert_equal()
