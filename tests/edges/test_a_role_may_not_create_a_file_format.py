"""The role has the grants of an older version, which did not need file formats.

Group: account
Danger: Changed rows are merged straight from their files, and Snowflake reads files only through a file format in the
target's schema. After an upgrade the role may not create it, and each table would stop with an error.
Answer: The run loads the batch through a staging table, as older versions did, and an event names the missing grant.
For an hour the next ticks do so at once. `pgsnow check` warns, and `pgsnow grants` prints the grant.
"""

from __future__ import annotations

from typing import Any

from pgsnow.model.report import TableReport
from tests.world import World

DENIED = {
    "containing": "CREATE FILE FORMAT",
    "errno": 3001,
    "sqlstate": "42501",
    "message": "SQL access control error: Insufficient privileges to operate on schema 'ANALYTICS'.",
}
MISSING = {
    "containing": "FILE_FORMAT =>",
    "errno": 2003,
    "sqlstate": "02000",
    "message": "SQL compilation error: File format 'PGSNOW_PARQUET' does not exist or not authorized.",
}

TOO_LONG = {
    "containing": "MERGE INTO",
    "errno": 100078,
    "sqlstate": "22000",
    "message": "String 'too long' is too long and would be truncated",
}


def tick(world: World, *, load: bool = False) -> TableReport:
    world.sql("update users set name = name || '!', updated_at = clock_timestamp()")
    with world.engine() as engine:
        [report] = engine.tick(load=load).tables
    assert report.ok, report.error
    world.assert_equal()
    return report


def kinds(report: TableReport) -> list[str]:
    return [sent.kind for sent in report.statements if sent.kind not in ("REMOVE", "DROP", "SHOW")]


def test_loads_go_on_through_staging_tables(world: World) -> None:
    """Nothing is read twice, and nothing is lost. The grant has its effect within the hour, or in a new process."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    refuse(world, DENIED, MISSING)
    try:
        assert len(tick(world).events) == 1  # the first load, which reads the files by COPY
        report = tick(world)
        assert (report.full_read, report.rows_updated) == (None, 20)
        assert any("CREATE FILE FORMAT" in event and "load_via: table" in event for event in report.events)
        assert kinds(tick(world)) == ["CREATE", "PUT", "COPY", "MERGE"]
    finally:
        refuse(world)
    world.close_engine()
    tick(world)  # looks at the target, and creates the file format
    assert kinds(tick(world)) == ["PUT", "MERGE"]


def test_a_whole_content_is_replaced_through_a_staging_table(world: World) -> None:
    """Its files are in the stage already when the file format turns out to be missing, and are copied from there."""
    world.tables = [{"source": "public.users", "target": "analytics.users", "mode": "full"}]
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    refuse(world, DENIED, MISSING)
    try:
        report = tick(world)
        assert any("CREATE FILE FORMAT" in event and "load_via: table" in event for event in report.events)
        assert kinds(report).count("PUT") == 1
        assert kinds(tick(world)).count("INSERT") == 1
    finally:
        refuse(world)
    assert world.leftovers() == []


def test_a_refused_value_is_no_missing_grant(world: World) -> None:
    """Snowflake refuses a value while the MERGE runs: the run ends with that error, and no event speaks of a grant. The
    next tick merges from files as before."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    tick(world)
    world.sql("update users set name = 'too long', updated_at = clock_timestamp()")
    refuse(world, TOO_LONG)
    try:
        with world.engine() as engine:
            [report] = engine.tick().tables
    finally:
        refuse(world)
    assert "is too long" in str(report.error), report
    assert report.events == ()
    assert "COPY" not in kinds(tick(world))


def refuse(world: World, *errors: dict[str, Any]) -> None:
    database = world.env["SNOWFLAKE_DATABASE"]
    world.emulator.answer_with(*(error | {"database": database} for error in errors))
