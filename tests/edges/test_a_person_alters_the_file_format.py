"""A person replaces the file format PGSNOW_PARQUET with one that has other options.

Group: target
Danger: Statements read part files through it. With other options, texts are trimmed, the text `\\N` becomes NULL, and
timestamps and binary values arrive as others; no statement fails.
Answer: Runs look at its options when they look at a target: at the first load of a process, and every ten minutes, one
statement for each schema. It is created again, the report names the options, and the tables that were loaded since the
last look are `unverified` until `pgsnow verify` passes. If the role may not replace it, loads go through staging
tables, which read files without it; with `load_via: stage` the table stops with an error that has the statement.
"""

from __future__ import annotations

import pytest

from pgsnow.model.report import TableReport
from pgsnow.snowflake.schema.file_format import differing
from tests.world import World

ALTERED = (
    "CREATE OR REPLACE FILE FORMAT ANALYTICS.PGSNOW_PARQUET TYPE=PARQUET NULL_IF=('x') TRIM_SPACE=TRUE"
    " USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE"
)
DENIED = {
    "containing": "CREATE OR REPLACE FILE FORMAT",
    "errno": 3001,
    "sqlstate": "42501",
    "message": "SQL access control error: Insufficient privileges to operate on file format 'PGSNOW_PARQUET'.",
}


@pytest.fixture
def altered(world: World) -> World:
    """Twenty rows are in the target, the file format is another one, and ten minutes have passed."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    assert tick(world).ok
    world.close_engine()
    world.snowflake(ALTERED)
    return world


def tick(world: World) -> TableReport:
    world.sql("update users set name = name || '!', updated_at = clock_timestamp()")
    with world.engine() as engine:
        [report] = engine.tick().tables
    return report


def kinds(report: TableReport) -> list[str]:
    return [sent.kind for sent in report.statements if sent.kind not in ("REMOVE", "DROP")]


def options(world: World) -> str:
    [shown] = world.snowflake("SHOW FILE FORMATS IN SCHEMA ANALYTICS")
    return differing(str(shown[-1]))


def doubts(world: World) -> str:
    [(why,)] = world.sql("select coalesce(unverified, '') from sync_watermarks")
    return str(why)


def test_it_is_created_again_and_the_report_says_so(altered: World) -> None:
    """Later ticks of the process do not look again, and report only that the table is unverified."""
    assert options(altered) == 'NULL_IF = ["X"], TRIM_SPACE = TRUE'
    report = tick(altered)
    assert kinds(report) == ["SHOW", "SHOW", "CREATE", "PUT", "MERGE"]
    assert any("TRIM_SPACE = TRUE" in event and "created again" in event for event in report.events)
    assert "TRIM_SPACE" in doubts(altered)
    assert options(altered) == ""
    report = tick(altered)
    assert (kinds(report), report.events) == (["PUT", "MERGE"], (doubts(altered),))
    altered.assert_equal()


def test_without_the_right_to_replace_it_loads_do_without_it(altered: World) -> None:
    """Through staging tables; with `load_via: stage` nothing is loaded, and the error has the statement that helps."""
    database = altered.env["SNOWFLAKE_DATABASE"]
    altered.emulator.answer_with(DENIED | {"database": database})
    try:
        report = tick(altered)
        assert kinds(report)[-4:] == ["CREATE", "PUT", "COPY", "MERGE"]
        assert any("CREATE OR REPLACE FILE FORMAT" in event for event in report.events)
        altered.assert_equal()
        altered.tables[0]["load_via"] = "stage"
        blocked = tick(altered)
    finally:
        altered.emulator.answer_with()
    assert not blocked.ok
    assert "PGSNOW_PARQUET" in str(blocked.error)


@pytest.mark.parametrize("shown", ['{"TYPE": "PARQUET", "NULL_IF": "[]", "OTHER": 1}', "", "[]", "{}"])
def test_options_that_are_not_shown_are_no_difference(shown: str) -> None:
    """An account that shows them in another form blocks no table."""
    assert differing(shown) == ""
