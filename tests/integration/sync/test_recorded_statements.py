"""What a run records of its statements, compared with what the server received."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import World

MERGED = "update users set name = name || 'x', updated_at = now() where id <= 3"


def tick(world: World, *, confirm_deletes: bool = False) -> TableReport:
    with world.engine() as engine:
        return engine.tick(["public.users"], confirm_deletes=confirm_deletes).tables[0]


def recorded(world: World, run: Callable[[World], TableReport] = tick) -> tuple[TableReport, list[str]]:
    """A run's report, and the first words of the statements that the server received meanwhile."""
    before = world.emulator.noted()
    report = run(world)
    return report, [text.split(maxsplit=1)[0].upper() for text in world.emulator.statements_since(before)]


def test_every_statement_of_a_run_is_recorded_in_order(world: World) -> None:
    """The record of a run is exactly what the server received: the creation of the target, each way of loading,
    deletes, nothing for an idle run, and also what failed."""
    world.tables[0] |= {"load": "stage", "deletes": "hard"}
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    first, received = recorded(world)
    assert [sent.kind for sent in first.statements] == received
    assert {"CREATE", "PUT", "COPY"} <= set(received)

    idle, received = recorded(world)
    assert (idle.status, idle.statements, idle.logins, received) == (Status.IDLE, (), 0, [])

    world.sql(MERGED)
    staged, received = recorded(world)
    assert [sent.kind for sent in staged.statements] == received

    world.tables[0] |= {"load": "insert"}
    world.sql(MERGED + "; delete from users where id = 20")
    inserted, received = recorded(world, partial(tick, confirm_deletes=True))
    assert [sent.kind for sent in inserted.statements] == received
    assert (inserted.rows_updated, inserted.rows_deleted) == (3, 1)

    world.sql(MERGED)
    world.emulator.answer_with(
        {
            "containing": "MERGE",
            "errno": 630,
            "sqlstate": "57014",
            "message": "Statement reached its statement or warehouse timeout of 3600 second(s) and was canceled.",
            "database": world.settings.snowflake.database,
        }
    )
    try:
        failed, received = recorded(world)
    finally:
        world.emulator.answer_with()
    assert failed.status is Status.ERROR
    assert [sent.kind for sent in failed.statements] == received
    assert [sent.kind for sent in failed.statements if sent.failed] == ["MERGE"]

    rows = {
        run: (kinds and [one["kind"] for one in kinds], count, logins, seconds, credits)
        for run, kinds, count, logins, seconds, credits in world.sql(
            "select run_id, statements, statement_count, logins, warehouse_seconds, credits from sync_logs"
        )
    }
    for report in (first, idle, staged, inserted, failed):
        kinds, count, logins, seconds, credits = rows[report.run_id]
        assert kinds == ([sent.kind for sent in report.statements] or None)
        assert (count, logins, seconds) == (len(report.statements), report.logins, report.warehouse_seconds)
        assert report.credits == credits
        assert (credits > 0) == bool(report.statements)
    # All of them within the same minute or so: the warehouse was resumed once, and is charged once.
    [[resumes, credits, awake]] = world.sql("select resumes, credits, awake_seconds from sync_warehouses")
    assert resumes == 1
    assert credits == pytest.approx(sum(each[-1] for each in rows.values()))
    assert credits == pytest.approx(awake / 3600)


def test_a_record_has_the_query_id_and_the_rows_of_each_statement(world: World) -> None:
    """Each statement can be found in Snowflake's query history, and says how many rows it moved; only those that
    compute are said to need a warehouse."""
    world.tables[0] |= {"load": "stage"}
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    tick(world)
    world.sql(MERGED)
    report = tick(world)
    # (The emulator gives uploads no id.)
    assert [
        sent for sent in report.statements if sent.failed or not (sent.query_id or sent.kind == "PUT")
    ] == []
    assert {sent.kind: sent.rows for sent in report.statements if sent.warehouse} == {"MERGE": 3}
    assert set(report.query_ids) <= {sent.query_id for sent in report.statements}
    assert report.warehouse_seconds <= report.seconds
    assert json.loads(json.dumps(report.to_json()))["statements"][0]["kind"] == report.statements[0].kind
