"""The text of the demo: it fits 80 columns, and names what was measured."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pgsnow.embedded.demo import next_steps
from pgsnow.embedded.demo.live import DemoRow, table_of
from pgsnow.embedded.demo.usual_query import Missed
from pgsnow.embedded.demo.verdict import counts_of, usual_query_lines
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.verify.verdict import Verdict

MISSED = {"public.users": Missed(19, 9, 70), "public.checkins": Missed(11, 0, 76)}


def verdict(table: str, rows: int) -> Verdict:
    return Verdict(table=table, target="D.A.T", source_rows=rows, target_rows=rows, quarantined=0)


def test_the_live_table_fits_80_columns() -> None:
    """No heading and no cell is cut, also with large numbers and the longest states."""
    rows = [
        DemoRow("public.checkins", state, "", 119.0, 12_345, 12_345, 12_345, 12_345, 999, 7100.0)
        for state in HealthState
    ]
    out = io.StringIO()
    Console(file=out, width=80).print(table_of(rows, "writing for 43 s more, 1234 transactions"))
    assert "…" not in out.getvalue()
    assert "rows-refused" in out.getvalue()


def test_the_counts_of_both_sides_stand_beside_what_the_usual_query_missed() -> None:
    """A reader sees in one table that pgsnow has every row, and what the usual query has not."""
    lines = counts_of([verdict("public.users", 3106), verdict("public.checkins", 7492)], MISSED)
    assert [line.split() for line in lines[2:]] == [
        ["public.users", "3,106", "3,106", "equal", "19", "9", "70"],
        ["public.checkins", "7,492", "7,492", "equal", "11", "0", "76"],
    ]
    assert max(map(len, lines)) <= 80
    assert "185 rows wrong" in usual_query_lines(MISSED, 60, 5)[1]
    assert len(counts_of([verdict("public.users", 1)], None)) == 2


def test_the_last_line_of_the_demo_is_the_next_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It works as it stands: in the folder of `make demo` without an option, elsewhere with the table list."""
    monkeypatch.chdir(tmp_path)
    assert next_steps.next_steps(Path(".pgsnow")).splitlines()[-1].endswith(" serve")
    other = next_steps.next_steps(Path("elsewhere")).splitlines()[-1]
    assert other.endswith(f" serve --config {tmp_path}/elsewhere/sync_config.yaml")
    assert next_steps.next_steps(None).splitlines()[-1].endswith(" init")
