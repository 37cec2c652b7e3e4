"""Changed rows are merged straight from their files: the statement itself proves that it has all of them, and that the
target is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pgsnow.model.errors import TargetUnavailable
from pgsnow.model.report import TableReport
from pgsnow.snowflake.names import FILE_FORMAT
from pgsnow.snowflake.schema import target_table
from pgsnow.testing.faults import AtPhase, RaiseAt
from tests.small_parts import make_parts_small, restore
from tests.world import World

CHANGED = (
    "update users set name = 'new', balance = balance + 1, updated_at = clock_timestamp() where id <= {}"
)


@pytest.fixture
def small_parts() -> Iterator[None]:
    """Part files of 50 rows from now on."""
    before = make_parts_small()
    yield
    restore(before)


@pytest.fixture
def loaded(world: World) -> World:
    """A thousand rows are in the target."""
    world.sql("insert into users (id, name, balance) select g, 'old', g from generate_series(1, 1000) g")
    assert tick(world).ok
    return world


def tick(world: World, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(**options).tables
    return report


def kinds(report: TableReport) -> list[str]:
    """The kinds of the statements that were sent, without those that clean up."""
    return [sent.kind for sent in report.statements if sent.kind not in ("REMOVE", "DROP")]


def test_one_statement_merges_what_was_put(loaded: World) -> None:
    """A process that has just looked at the target sends nothing else; `load_via: table` fills a staging table, and
    looks first."""
    loaded.sql(CHANGED.format(900))
    assert kinds(tick(loaded)) == ["PUT", "MERGE"]
    loaded.sql(CHANGED.format(3))
    assert kinds(tick(loaded)) == ["MERGE"]
    loaded.tables[0] |= {"load_via": "table"}
    loaded.sql(CHANGED.format(900))
    assert kinds(tick(loaded)) == ["SHOW", "CREATE", "PUT", "COPY", "MERGE"]
    loaded.assert_equal()
    assert loaded.leftovers() == []


@pytest.mark.parametrize("pattern", ["", "PATTERN='.*part-0001.*'"], ids=["all", "one"])
def test_missing_files_are_no_success(loaded: World, small_parts: None, pattern: str) -> None:
    """All files of the batch are gone before the MERGE, or one of them: nothing is changed, and the batch is loaded
    again with all of its files."""
    loaded.sql(CHANGED.format(120))
    gone: list[Any] = []

    def remove() -> None:
        gone.extend(loaded.snowflake(f"REMOVE @ANALYTICS.PGSNOW_STAGE {pattern}"))
        assert loaded.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS WHERE NAME = 'new'") == [(0,)]

    with loaded.engine(AtPhase("put", remove)) as engine:
        [report] = engine.tick().tables
    assert (report.ok, report.rows_updated, len(gone) >= (1 if pattern else 3)) == (True, 120, True)
    assert [sent.kind for sent in report.statements if sent.failed] == ["MERGE"]
    loaded.assert_equal()


@pytest.mark.parametrize(
    "rows", [(2, 900), pytest.param((900, 2), marks=pytest.mark.thorough)], ids=["some", "others"]
)
def test_the_statement_notices_that_rows_of_the_target_are_gone(loaded: World, rows: tuple[int, int]) -> None:
    """A person deletes rows, or all of them, a moment after the last look: the MERGE fails, nothing is built on the
    rest, and everything is read again. rows: that change in each case; few are bound, many are staged."""
    cases = ("DELETE FROM ANALYTICS.USERS WHERE ID > 998", 998), ("TRUNCATE ANALYTICS.USERS", 0)
    for (statement, found), changed in zip(cases, rows, strict=True):
        loaded.sql(CHANGED.format(changed))
        assert "SHOW" not in kinds(tick(loaded))
        loaded.snowflake(statement)
        loaded.sql(CHANGED.format(changed))
        report = tick(loaded)
        assert [sent.kind for sent in report.statements if sent.failed] == ["MERGE"]
        assert f"has {found} rows, but had 1000" in (report.full_read or ""), report
        loaded.assert_equal()
        loaded.sql(CHANGED.format(2))
        tick(loaded)  # counts the rows


def test_another_table_with_as_many_rows_is_noticed_by_the_next_look(loaded: World) -> None:
    """Only SHOW tells it from the one that was loaded. A process looks again after ten minutes, another one at once."""
    loaded.snowflake("CREATE OR REPLACE TABLE ANALYTICS.USERS AS SELECT * FROM ANALYTICS.USERS")
    loaded.snowflake("UPDATE ANALYTICS.USERS SET NAME = 'damaged'")
    loaded.sql(CHANGED.format(2))
    assert (tick(loaded).full_read, len(loaded.differences()["public.users"])) == (None, 998)
    loaded.close_engine()
    loaded.sql(CHANGED.format(2))
    assert "another table than the one that was loaded" in (tick(loaded).full_read or "")
    loaded.assert_equal()


def test_a_file_format_that_is_gone_is_created_again(loaded: World) -> None:
    """As in a schema whose stage an older version has created. If rows of the target are gone, too, that is noticed
    although the statement has failed before it counted them."""
    loaded.snowflake(f"DROP FILE FORMAT ANALYTICS.{FILE_FORMAT}")
    loaded.sql(CHANGED.format(900))
    report = tick(loaded)
    assert (report.ok, report.full_read, report.events) == (True, None, ())
    assert kinds(report)[-1] == "MERGE"
    loaded.assert_equal()
    loaded.sql(CHANGED.format(900))
    tick(loaded)  # counts the rows
    loaded.snowflake(f"DROP FILE FORMAT ANALYTICS.{FILE_FORMAT}")
    loaded.snowflake("DELETE FROM ANALYTICS.USERS WHERE ID > 990")
    loaded.sql(CHANGED.format(900))
    assert "has 990 rows, but had 1000" in (tick(loaded).full_read or "")
    loaded.assert_equal()


@pytest.mark.parametrize("rows", [2, 20])
def test_a_lost_answer_is_no_alteration(world: World, rows: int) -> None:
    """The MERGE has added its rows, and nobody knows. The second attempt finds more rows than after the last load, but
    no more than it loads itself: it is no reason to read everything again."""
    world.sql("insert into users (id, name) select g, 'old' from generate_series(1, 100) g")
    reports = list[TableReport]()
    with world.new_engine(RaiseAt("merged", TargetUnavailable("lost"))) as engine:
        for first in (1000, 2000):
            reports += engine.tick().tables
            world.sql(
                f"insert into users (id, name) select {first} + g, 'new' from generate_series(1, {rows}) g"
            )
        reports += engine.tick().tables
    assert [(report.full_read, kinds(report).count("MERGE")) for report in reports[1:]] == [
        (None, 2),
        (None, 1),
    ]
    world.assert_equal()


def test_rows_that_a_statement_does_not_see_are_no_alteration(
    loaded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row access policy hides rows from a query, but not from SHOW. Such a target is not counted for a while, and
    each load looks at it first. (The emulator has no such policies.)"""
    shown = target_table.state_in_schema

    def all_rows(*args: Any) -> Any:
        found = shown(*args)
        return found and replace(found, rows=1001)

    monkeypatch.setattr("pgsnow.sync.load.target.state_in_schema", all_rows)
    loaded.sql("update sync_watermarks set target_rows = 1001")
    loaded.sql(CHANGED.format(2))
    report = tick(loaded)
    assert (report.full_read, report.events, report.rows_updated) == (None, (), 2)
    for _ in range(2):
        loaded.sql(CHANGED.format(2))
        assert kinds(tick(loaded)) == ["SHOW", "PUT", "MERGE"]
    loaded.assert_equal()
