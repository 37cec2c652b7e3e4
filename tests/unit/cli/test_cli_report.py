"""A tick's report: exit code, table, advice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgsnow.cli.options import Format
from pgsnow.cli.output.report import exit_code, show_report
from pgsnow.model.report import Status, SyncReport, TableReport

AT = datetime(2024, 5, 1, tzinfo=UTC)


def table(status: Status, **more: object) -> TableReport:
    values: dict[str, object] = {
        "table": "public.users",
        "target": "A.B.USERS",
        "run_id": "r",
        "started_at": AT,
    }
    return TableReport(status=status, **{**values, **more})  # type: ignore[arg-type]


def report(*tables: TableReport) -> SyncReport:
    return SyncReport("r", AT, 1.5, tables)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], 0),
        ([Status.OK, Status.IDLE, Status.PARTIAL], 0),
        ([Status.OK, Status.ERROR], 1),
        ([Status.OK, Status.LOCKED], 3),
        ([Status.LOCKED, Status.ERROR], 1),
        ([Status.OK, Status.NOT_DUE], 3),
        ([Status.OK, Status.PAUSED], 3),
        ([Status.LOCKED, Status.BACKING_OFF], 1),
        ([Status.OK, Status.STOPPED], 1),
    ],
)
def test_the_worst_table_decides_the_exit_code(states: list[Status], code: int) -> None:
    assert exit_code([table(state) for state in states]) == code


def test_a_failed_table_shows_its_error_and_its_fix_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    failed = table(Status.ERROR, error="no column updated", advice="Correct the column's name.")
    show_report(report(failed), Format.TABLE)
    shown = capsys.readouterr()
    assert "no column updated" in shown.out
    assert "→ Correct the column's name." in shown.err


def test_json_is_one_document_and_jsonl_a_line_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    two = report(table(Status.OK, rows_inserted=2), table(Status.IDLE))
    show_report(two, Format.JSON)
    document = json.loads(capsys.readouterr().out)
    assert document["sync_success_count"] == 2
    show_report(two, Format.JSONL)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ["ok", "idle"]
    assert lines[0]["rows_inserted"] == 2


def test_rejected_rows_are_shown_with_the_command_that_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(table(Status.PARTIAL, rows_rejected=3)), Format.TABLE)
    assert "pgsnow errors list --table public.users" in capsys.readouterr().err


def test_the_table_ends_with_its_totals(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the states, with the rows by operation; the line is the last one."""
    three = report(table(Status.ERROR, error="x"), table(Status.OK), table(Status.OK))
    show_report(three, Format.TABLE)
    assert capsys.readouterr().out.endswith("\n3 tables: 2 ok, 1 error · 1.5 s\n")
    show_report(report(table(Status.IDLE)), Format.TABLE)
    assert capsys.readouterr().out.endswith("\n1 table: 1 idle · 1.5 s\n")


def test_an_error_that_names_its_table_names_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    """In the message; the error itself is the same for programs."""
    show_report(report(table(Status.ERROR, error="public.users: public.users: denied")), Format.TABLE)
    assert "public.users: denied" in capsys.readouterr().err.splitlines()


def test_the_totals_count_rows_by_operation(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person wants to know of many tables: how many rows went where, and how long it took."""
    two = (
        table(Status.OK, rows_inserted=1000, rows_updated=3),
        table(Status.PARTIAL, rows_deleted=2, rows_rejected=1),
    )
    show_report(replace(report(*two), seconds=125.0), Format.TABLE)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "2 tables: 1 ok, 1 partial · rows: 1,000 inserted, 3 updated, 2 deleted, 1 rejected · 2:05"


def test_one_error_of_many_tables_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """20 tables behind one dead connection are one message with its advice, and not a paragraph a table."""
    tables = [
        table(
            Status.ERROR,
            table=f"public.t{n}",
            error=f"public.t{n}: Snowflake does not answer",
            advice=f"Then `pgsnow run --select public.t{n}`.",
            retry_seconds=240.0,
        )
        for n in range(20)
    ]
    show_report(report(*tables, table(Status.ERROR, error="denied")), Format.TABLE)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "public.t0, public.t1, public.t2 and 17 more: Snowflake does not answer"
    assert "try them again in 4 min" in lines[2]
    assert lines[3:] == ["public.users: denied"]


def test_a_stopped_run_ends_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """After Ctrl-C: how many tables are done, and that nothing is lost; not a paragraph a table."""
    stopped = [
        table(Status.STOPPED, table=f"public.t{n}", error="stopped between two pages") for n in range(69)
    ]
    show_report(report(*(table(Status.OK) for _ in range(12)), *stopped), Format.TABLE)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "stopped: 12 of 81 tables had ended. Nothing is lost: the next run goes on from the checkpoints",
        "  → pgsnow run",
    ]
    assert shown.out.splitlines()[-1].startswith("81 tables: 12 ok, 69 stopped")
