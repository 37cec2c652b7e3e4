"""Output of the commands at 80 and 120 columns and in a pipe, compared with the files in `snapshots/`.

After a wanted change: `WRITE_SNAPSHOTS=yes pytest tests/unit/cli/test_cli_snapshots.py`, and read the difference.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from pgsnow.cli.commands import check, discover, errors
from pgsnow.cli.commands.compare import repair, verify
from pgsnow.cli.options import Format
from pgsnow.cli.output import plan_text, report, status_text
from pgsnow.cli.output.bars import RunProgress
from pgsnow.cli.output.screen import Shown, table_of
from pgsnow.model.report import Status, SyncReport, TableReport
from pgsnow.sync.runtime.events import Event

FOLDER = Path(__file__).parent / "snapshots"
WIDTHS = {"80": 80, "120": 120, "pipe": None}
NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LONG = "analytics_production.customer_order_line_items_archive_2024"
ERROR = (
    'public.orders: column "updated_at" does not exist (failed 3 times in a row: next attempt in 4 min; at once with'
    " pgsnow run --select public.orders)"
)


def compare(name: str, lines: Sequence[str]) -> None:
    """Assert that the lines are those of the file, or write them there."""
    file = FOLDER / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("WRITE_SNAPSHOTS"):
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs"


def record(table: str, state: str, **more: Any) -> dict[str, Any]:
    values = {
        "table": table, "state": state, "lag_seconds": 3.2, "last_success": NOW - timedelta(seconds=12),
        "rows_processed": 1234, "open_errors": 0, "lease_holder": None, "why": "", "lag_covers": None,
        "certificates": [], "verify_progress": None,
    }  # fmt: skip
    return values | more


STATUS = [
    record("public.users", "synced"),
    record(LONG, "no-changes", rows_processed=0),
    record("public.orders", "failed", why=ERROR, lag_seconds=7260.0, last_success=NOW - timedelta(hours=2)),
    record(
        "public.events",
        "running",
        lease_holder="worker-7f9c.eu-west-1.internal:12345",
        why="backfill: 3 of 12 chunks are loaded, 3,000,000 rows, 12.0 MB/s, 4 min left",
        lag_seconds=None,
        last_success=None,
    ),
    record("public.tags", "rows-refused", open_errors=12, why="12 rows rejected: pgsnow errors list"),
]
TABLES: dict[str, tuple[Sequence[Shown], Sequence[Sequence[object]]]] = {
    "run": (
        report.COLUMNS,
        [
            ("public.users", "ok", 1234, 1000, 234, 0, 0, "1.4", "full read: first run"),
            (LONG, "idle", 0, 0, 0, 0, 0, "0.0", None),
            ("public.orders", "error", 0, 0, 0, 0, 0, "0.2", ERROR),
            ("public.tags", "partial", 12_345_678, 12_345_600, 66, 12, 12, "734.2", None),
        ],
    ),
    "verify": (
        verify.COLUMNS,
        [
            ("public.users", "SHOP.ANALYTICS.USERS", "equal", 3000, 3000, 0, 0),
            (LONG, f"SHOP.{LONG.upper()}", "different", 1_000_000, 999_998, 12, 2),
            ("public.orders", "SHOP.ANALYTICS.ORDERS", "failed", None, None, None, None),
        ],
    ),
    "repair": (
        repair.COLUMNS,
        [(LONG, f"SHOP.{LONG.upper()}", "repaired", 1_000_000, 999_998, 2, 3, 0, 1, 0)],
    ),
    "plan": (
        plan_text.COLUMNS,
        [
            ("public.users", "+", "SHOP.ANALYTICS.USERS", "2 statements", "everything: first read", "watermark",
             "about 12,000", "3.1 MB"),
            (LONG, "=", f"SHOP.{LONG.upper()}", "nothing", "what has changed", "xmin", "about 40", "16.0 kB"),
        ],
    ),
    "check": (
        check.COLUMNS,
        [
            ("source", "ok", "PostgreSQL 18.6, UTF8, wal_level logical"),
            (LONG, "warning", "no index on updated_at: each tick reads the whole table to find what has changed"),
            ("stage", "failed", "the account's cloud storage https://sfc-prod1-ds1-16-customer-stage.s3.us-west-2"
             ".amazonaws.com/stages/1f7f2e70-1c5b-4c3f-9f86-0b7c0a2c9d11/ cannot be reached: timed out"),
        ],
    ),
    "errors-list": (
        errors.COLUMNS,
        [("123456", LONG, "id=123, tenant=4", "amount", "open", 3, "2026-01-31 11:58:02",
          "12345678901234567890.5 does not fit NUMBER(10, 2)")],
    ),
    "discover": (
        discover.COLUMNS,
        [
            ("public.users", "proposed", "watermark", "12,000", "3,145,728", "id", "updated_at",
             "has an index and a trigger that moves it"),
            (LONG, "refused", None, None, None, None, None, "has neither a key nor a column that updates move"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_commands_table(name: str, width: str) -> None:
    """It fits the terminal, and in a pipe each row is one line."""
    lines = [line.plain for line in table_of(*TABLES[name]).lines(WIDTHS[width])]
    assert all(len(line) <= (WIDTHS[width] or 10_000) for line in lines)
    compare(f"{name}-{width}", lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_status(width: str) -> None:
    """The states with their reasons below them; --watch shows what needs attention first."""
    lines = [line.plain for line in status_text.states_table(STATUS, NOW).lines(WIDTHS[width])]
    compare(f"status-{width}", lines)
    wide = status_text.states_table(STATUS, NOW, wide=True).lines(80)
    assert [line.plain for line in wide] == [
        line.plain for line in status_text.states_table(STATUS, NOW).lines(None)
    ]


def plain(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


@pytest.mark.parametrize("width", [80, 120])
def test_watch_of_many_tables(width: int) -> None:
    """A screen of 1,000 tables: as many as there is room for, the worst first, the others counted."""
    many = [replace_name(STATUS[1], f"public.partition_{n:04}") for n in range(995)]
    lines = plain(status_text.frame_of(view([*many, *STATUS]), width, 24))
    assert len(lines) <= 24
    compare(f"watch-{width}", lines)


def view(records: list[dict[str, Any]]) -> status_text.StatusView:
    reason = "public.orders stopped: there is no column updated_at any more."
    advice = "Correct watermark_column, then `pgsnow run --select public.orders`."
    return status_text.StatusView(records, NOW, "failing", reason, advice)


def replace_name(row: dict[str, Any], name: str) -> dict[str, Any]:
    return row | {"table": name}


@pytest.mark.parametrize("width", [80, 120])
def test_progress_of_many_tables(width: int) -> None:
    """One line for all, the busy tables in view, the rest counted."""
    progress = RunProgress(81, began=0.0)
    for number in range(12):
        progress(Event(f"public.done_{number}", "r", "finished", detail="idle"))
    for number, phase in enumerate(["started", "page", "chunk", "put"] * 3):
        progress(Event(f"{LONG}_{number:02}", "r", phase, rows=12_345 * number, done=number, of=12))
    for table in progress._busy.values():
        table.began = 20.0
    lines = plain(progress.lines(width, 24, 42.0))
    assert lines[0] == "12 of 81 · 12 loading · 0:42"
    assert all(len(line) <= width for line in lines)
    compare(f"progress-{width}", lines)


def test_a_small_terminal_shows_what_it_has_room_for() -> None:
    """Neither the progress nor the watched states are higher than the terminal."""
    progress = RunProgress(81, began=0.0)
    for number in range(12):
        progress(Event(f"public.t{number}", "r", "started"))
    assert len(progress.lines(40, 6, 1.0)) <= 5
    assert len(status_text.frame_of(view(STATUS), 80, 10)) <= 10
    unchanged = replace(progress._busy["public.t1"])
    assert unchanged.step == "reading"


def run_report() -> SyncReport:
    def table(name: str, status: Status, **facts: Any) -> TableReport:
        return TableReport(name, f"SHOP.{name.upper()}", "run1", status, NOW, **facts)

    dead = (
        'connection to server at "db.internal", port 5432 failed: Connection refused; is the server running?'
    )
    fix = "Check POSTGRES_DSN, and that the server accepts connections from this machine."
    return SyncReport(
        "run1", NOW, 83.4,
        (
            table("public.users", Status.OK, rows_read=1234, rows_inserted=1000, rows_updated=234, seconds=1.4,
                  full_read="first run", events=("created the target",)),
            table(LONG, Status.IDLE),
            table("public.tags", Status.PARTIAL, rows_read=12_345, rows_updated=12_333, rows_rejected=12, seconds=7.2),
            *(table(f"public.orders_{n}", Status.ERROR, error=f"public.orders_{n}: {dead}", advice=fix,
                    retry_seconds=240.0) for n in range(5)),
            table("public.events", Status.STOPPED, error="stopped between two pages"),
        ),
    )  # fmt: skip


def show_run(wide: bool) -> None:
    report.show_report(run_report(), Format.TABLE, wide=wide)


def show_status(wide: bool) -> None:
    status_text.write_status(Format.TABLE, view(STATUS), wide=wide)


@pytest.mark.parametrize("width", [*WIDTHS, "wide"])
@pytest.mark.parametrize("show", [show_run, show_status])
def test_all_that_a_person_sees(
    show: Callable[[bool], None],
    width: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both streams of a command: nothing is wider than the terminal, and the last line has the totals."""
    if width != "pipe":
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "80" if width == "wide" else width)
    show(width == "wide")
    shown = capsys.readouterr()
    out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() for text in (shown.out, shown.err))
    if width in ("80", "120"):
        assert max(map(len, (*out, *err))) <= int(width)
    assert out[-1].endswith(("1:23", " 12 s ago"))
    compare(f"whole-{show.__name__}-{width}", ["stdout:", *out, "", "stderr:", *err])


def test_a_run_that_does_not_know_its_tables_yet_counts_none() -> None:
    """The connections take a moment, in which there is nothing to count."""
    assert [str(line) for line in RunProgress(0, began=0.0).lines(80, 24, 3.0)] == ["starting · 0:03"]


def test_the_advice_below_the_word_is_indented_in_a_narrow_terminal_too() -> None:
    view = status_text.StatusView([], NOW, "stopped", "No worker runs.", "Start the worker and the schedule.")
    assert [str(line) for line in view.headline(24)] == [
        "stopped: No worker runs.",
        "  → Start the worker and",
        "    the schedule.",
    ]
