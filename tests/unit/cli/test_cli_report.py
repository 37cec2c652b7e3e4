"""A tick's report: exit code, table, advice."""

from __future__ import annotations

import json
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
    """In the order of the states, and only below a table for people."""
    three = report(table(Status.ERROR, error="x"), table(Status.OK), table(Status.OK))
    show_report(three, Format.TABLE)
    assert capsys.readouterr().out.endswith("\n3 tables: 2 ok, 1 error\n")
    show_report(report(table(Status.IDLE)), Format.TABLE)
    assert capsys.readouterr().out.endswith("\n1 table: 1 idle\n")


def test_an_error_that_names_its_table_names_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    """In the message; the error itself is the same for programs."""
    show_report(report(table(Status.ERROR, error="public.users: public.users: denied")), Format.TABLE)
    assert "public.users: denied" in capsys.readouterr().err.splitlines()
