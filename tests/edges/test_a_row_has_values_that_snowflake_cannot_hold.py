"""A row has values that Snowflake cannot hold.

Group: values
Danger: the row is rejected for its first bad column only, so that 16 bad columns take 16 rounds; and after an update
that makes a row unrepresentable, its older version stays in the target without a word.
Answer: the rejected row names every bad column, and `errors list` prints the `on_overflow` lines that would admit it.
An older version that stays is reported as stale, with the reason, by `status` and `verify`, until the row is loaded.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest
import yaml

from pgsnow.cli.commands.errors import admitting_lines
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status
from pgsnow.operations.status.summary import status_of
from tests.world import MemoryWorld, World

TABLE = """
create table things (
    id int primary key, day date, price numeric(12,2), at_noon time, doc jsonb, seen timestamptz, note text, code text,
    at timestamptz not null default now()
)
"""
GOOD = "insert into things values (1, '2024-01-01', 1.5, '12:00', '{}', now(), 'fine')"
BAD = """
update things set day = 'infinity', price = 'NaN', at_noon = '24:00', doc = '[1e-400]', seen = '0044-03-15 BC',
    at = clock_timestamp() where id = 1
"""
COLUMNS = ["day", "price", "at_noon", "doc", "seen"]


@pytest.fixture
def things(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql(TABLE)
    memory_world.tables = [
        {"source": "public.things", "target": "analytics.things", "watermark_column": "at"}
    ]
    return memory_world


def test_a_rejected_row_names_all_its_bad_columns_and_the_lines_that_admit_it(things: MemoryWorld) -> None:
    """One look at the error shows everything that is wrong; with the lines that are shown, the row is loaded."""
    world = things
    world.sql(GOOD)
    world.sql(BAD)
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_rejected == 1
        [error] = engine.ledger.rejected_rows.listed()
    assert error.column == ", ".join(COLUMNS)
    assert [reason.partition(":")[0] for reason in error.reason.split("; ")] == COLUMNS
    shown = yaml.safe_load("\n".join(admitting_lines([error])[1:]))
    assert list(shown["columns"]["on_overflow"]) == COLUMNS
    world.tables[0] |= shown
    with world.engine() as engine:
        assert engine.tick().tables[0].rows_rejected == 0
        assert engine.ledger.rejected_rows.listed() == []
    assert len(world.target("analytics.things").rows) == 1


def test_lines_are_shown_only_where_they_admit_the_row(things: MemoryWorld) -> None:
    """A row that a transform rejects too is not admitted by any on_overflow, so no lines are shown for it."""
    world = things
    world.sql(GOOD)
    world.sql("update things set note = 'not a number', code = '1.5'")
    world.tables[0] |= {"transform": {"cast": {"note": "integer", "code": "integer"}}}
    with world.engine() as engine:
        engine.tick()
        [error] = engine.ledger.rejected_rows.listed()
    assert error.column == "note, code"
    assert admitting_lines([error]) == []
    assert (error.reason.count("code: "), error.reason.count("note: ")) == (1, 1)


def state_of(world: MemoryWorld) -> dict[str, object]:
    """The table's entry in the status document."""
    with closing(Ledger(world.settings.ledger)) as ledger:
        [table] = status_of(world.config, ledger, datetime.now(UTC))["tables"]
    return dict(table)


def test_an_older_version_that_stays_is_reported_as_stale_until_the_row_is_loaded(
    things: MemoryWorld,
) -> None:
    """status counts the stale row and says why, and no longer does once a newer version is loaded."""
    world = things
    world.sql(GOOD)
    with world.engine() as engine:
        engine.tick()
        world.sql(BAD)
        assert engine.tick().tables[0].status is Status.PARTIAL
        state = state_of(world)
        assert (state["state"], state["stale_rows"]) == ("rows-refused", 1)
        assert "1 of them stale: Snowflake keeps its older version" in str(state["why"])
        assert "day: DATE cannot hold infinity" in str(state["why"])
        world.sql("delete from things; insert into things (id, note) values (1, 'again')")
        engine.tick()
    assert state_of(world)["stale_rows"] == 0
    world.assert_equal()


def test_an_older_version_that_was_staged_is_stale_once_it_is_loaded(things: MemoryWorld) -> None:
    """With load_every, the older version may reach the target after the newer one was rejected."""
    world = things
    world.tables[0]["load_every"] = "1h"
    world.sql("insert into things (id) values (2)")
    with world.engine() as engine:
        engine.tick()
        world.sql(GOOD)
        engine.tick()
        world.sql(BAD)
        engine.tick()
        assert state_of(world)["stale_rows"] == 0
        engine.tick(load=True)
    assert state_of(world)["stale_rows"] == 1


def test_a_row_that_was_never_loaded_is_not_stale(things: MemoryWorld) -> None:
    """A new row that is rejected has no older version; nor has one whose target was replaced as a whole."""
    world = things
    world.sql("insert into things (id) values (2)")
    with world.engine() as engine:
        engine.tick()
        world.sql(GOOD)
        world.sql(BAD)
        assert engine.tick().tables[0].rows_rejected == 1
        assert state_of(world)["stale_rows"] == 0
        assert "stale" not in str(state_of(world)["why"])
        world.sql("update things set day = 'infinity', at = clock_timestamp() where id = 2")
        engine.tick()
        assert state_of(world)["stale_rows"] == 1
        engine.tick(resync=True)
        assert state_of(world)["stale_rows"] == 0


@pytest.mark.parametrize("transform", [None, {"rename": {"note": "text"}, "cast": {"code": "bpchar"}}])
def test_verify_reports_an_older_version_with_the_reason(world: World, transform: object) -> None:
    """A stale row is a difference; a rejected row that was never loaded is none."""
    world.sql(TABLE)
    world.sql(GOOD)
    world.sql("insert into things (id) values (2)")
    world.tables = [
        {
            "source": "public.things",
            "target": "analytics.things",
            "watermark_column": "at",
            "transform": transform,
        }
    ]
    with world.engine() as engine:
        engine.tick()
        world.sql(BAD)
        world.sql("insert into things (id, day) values (3, 'infinity')")
        assert engine.tick().tables[0].rows_rejected == 2
        [found] = engine.ledger.run_log.watermarks()
    [verdict] = world.verdicts()
    [stale] = verdict.differences
    assert (stale.kind, stale.key) == ("stale", (1,))
    assert "day: DATE cannot hold infinity" in str(stale.reason)
    assert (verdict.stale, verdict.quarantined, verdict.equal, found.stale_rows) == (1, 2, False, 1)


def test_a_rejected_row_with_a_key_of_several_columns_stays_open(memory_world: MemoryWorld) -> None:
    """The ledger sorts the columns of a stored key; a full read that rejects the row again does not close its error."""
    world = memory_world
    world.sql(
        "create table parts (tenant_id int, id int, day date, at timestamptz not null default now(),"
        " primary key (tenant_id, id)); insert into parts values (1, 2, 'infinity'), (1, 3, null)"
    )
    world.tables = [{"source": "public.parts", "target": "analytics.parts", "watermark_column": "at"}]
    with world.engine() as engine:
        engine.tick()
        engine.tick(full_refresh=True)
        [error] = engine.ledger.rejected_rows.listed()
        assert error.occurrences == 2
        engine.replay([error.id])
        assert len(engine.ledger.rejected_rows.listed()) == 1
