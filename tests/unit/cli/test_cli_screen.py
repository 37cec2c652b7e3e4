"""Data on stdout, in the form asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from pgsnow.cli.consent import ask
from pgsnow.cli.options import Format
from pgsnow.cli.output.screen import Shown, table_of, write_records

RECORDS: list[dict[str, Any]] = [
    {"name": "a [b] ☕", "at": datetime(2024, 5, 1, tzinfo=UTC)},
    {"name": "x" * 200, "at": None},
]
TABLE = table_of((Shown("name"), Shown("at")), [(r["name"], r["at"]) for r in RECORDS])


def test_json_is_an_array_even_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Format.JSON, RECORDS, TABLE)
    assert [r["name"] for r in json.loads(capsys.readouterr().out)] == ["a [b] ☕", "x" * 200]
    write_records(Format.JSON, [], table_of((), ()), empty="nothing there")
    assert json.loads(capsys.readouterr().out) == []


def test_jsonl_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Format.JSONL, RECORDS, TABLE)
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 2


def test_a_table_in_a_pipe_cuts_nothing_and_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Format.TABLE, RECORDS, TABLE)
    out = capsys.readouterr().out
    assert "a [b] ☕" in out
    assert "x" * 200 in out
    assert "\x1b" not in out


def test_an_empty_table_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Format.TABLE, [], table_of((), ()), empty="no open errors")
    shown = capsys.readouterr()
    assert (shown.out, shown.err.strip()) == ("", "no open errors")


def test_without_a_terminal_consent_needs_yes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        ask("delete rows", yes=False)
    assert end.value.exit_code == 2
    assert "--yes" in capsys.readouterr().err
    ask("delete rows", yes=True)
