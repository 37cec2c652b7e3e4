"""The page of a table in states that a sync is rarely in, as the template shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pgsnow.integrations.fastapi.rendering import html_of
from pgsnow.integrations.fastapi.table_pages import run_values, table_values
from pgsnow.ledger.history.rows import Cursor
from pgsnow.model.comparison.certificate import Certificate, ComparisonMethod
from pgsnow.model.config.sync_config import parse_config
from pgsnow.operations.status.columns import ColumnLine
from pgsnow.operations.status.overview_table import BackfillProgress, Pause, RowCounts, table_line
from pgsnow.operations.status.run_detail import Phase, RunDetail, RunStatement, RunSummary
from pgsnow.operations.status.series import Span, TableSeries
from pgsnow.operations.status.table_detail import TableDetail
from pgsnow.operations.status.table_status import table_statuses

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ENDED = "2026-03-10T11:00:00+00:00"
ENTRY = {"source": "public.users", "target": "a.users", "pk": "id", "watermark_column": "updated_at"}
CONFIG = parse_config({"tables": [ENTRY]}, file="sync_config.yaml", env={})


def page(*, actions: bool = False, line: dict[str, Any] | None = None, **changed: Any) -> str:
    """The page's text without tags and repeated blanks. changed: of the table's detail, line: of its line."""
    [status] = table_statuses(CONFIG, CONFIG.tables, [], NOW)
    shown = replace(table_line(CONFIG, status, None), **(line or {}))
    empty = TableSeries((), ())
    detail = TableDetail(NOW, Span.DAY, shown, empty, None, (), (), (), (), "", {}, (), None, ())
    common = {"base": "../", "now": NOW, "protected": True, "actions": actions}
    return html_of("table.html", common | table_values(replace(detail, **changed)))


def test_a_backfill_shows_its_rate_and_the_time_that_is_left() -> None:
    """30 of 120 chunks in ten minutes: a quarter, and half an hour more at this rate."""
    html = page(line={"backfill": BackfillProgress(120, 30, 6_000_000, 900_000_000, 600.0)})
    assert '<progress max="120" value="30"' in html
    for text in ("<b>25 %</b>", "30 of 120 chunks", "10,000 rows/s", "1.5 MB/s", "about 30 min left"):
        assert text in html, text


def test_a_backfill_that_has_just_begun_has_no_rate_yet() -> None:
    html = page(line={"backfill": BackfillProgress(120, 0)})
    assert "<b>0 %</b>" in html
    assert "rows/s" not in html


def test_a_certificate_says_what_was_compared_and_what_was_found() -> None:
    """Differences that were repaired are none; those that were not, are."""
    equal = Certificate(ComparisonMethod.CONTENT, "verify", ENDED, ENDED, rows=1200)
    repaired, open_ = replace(equal, differences=3, repaired=3), replace(equal, differences=3, repaired=1)
    assert "1,200 rows by content, verify ended" in page(certificates=(equal,)).replace("\n", " ")
    assert ">equal<" in page(certificates=(repaired,)).replace("</i>equal", ">equal")
    html = page(certificates=(open_,), verify_share=0.4)
    assert "</i>differs" in html
    assert "3 differences, 1 repaired" in html
    assert "A comparison is under way: 40 % of the table." in html


def test_columns_say_what_is_not_exact() -> None:
    exact = ColumnLine("id", "bigint", "ID", "NUMBER(38,0)", True, True, True, "`NaN` overflows.")
    cut = ColumnLine("at", "timestamp", "AT", "TIMESTAMP_NTZ(6)", False, False, False, "infinity is rejected")
    left = ColumnLine("geo", "geometry", None, "", False, False, False, "excluded by the configuration")
    html = page(columns=(exact, cut, left))
    assert "2 columns not exact" in html
    assert "infinity is rejected" in html
    assert "<code>NaN</code> overflows" in html
    assert "</i>not loaded" in html


def test_nothing_that_people_write_becomes_markup() -> None:
    """Names, reasons and errors are text."""
    evil = "<script>alert(1)</script>"
    html = page(
        actions=True,
        line={
            "name": evil,
            "target": evil,
            "why": evil,
            "advice": f"`{evil}`",
            "pause": Pause(evil, NOW, evil),
        },
        entry=evil,
        checkpoint={evil: evil},
    )
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 8


def run_page(*, protected: bool) -> str:
    """The page of a run with two statements."""
    run = RunSummary(
        "5eed", "public.users", "A.USERS", "error", NOW, NOW, 2.0, RowCounts(), 0, 0, 0, None, (), "no <grant>",
        "SnowflakeAccessDenied", "GRANT `USAGE`", (Phase("copy", 1.5, 0.75),), (), 2, 1.4, 0.0004,
        None, "schedule", Cursor(NOW, "5eed", "public.users"),
    )  # fmt: skip
    statements = (
        RunStatement("PUT", None, 0.2, None),
        RunStatement("COPY", "01b2-secret" if protected else None, 1.25, 12_000),
    )
    common = {"base": "../../", "now": NOW, "protected": protected, "actions": False}
    return html_of("run.html", common | run_values(RunDetail(run, statements, None)))


def test_a_run_shows_its_statements_in_order_and_its_error_with_the_advice() -> None:
    html = run_page(protected=True)
    assert html.index("<code>PUT</code>") < html.index("<code>COPY</code>")
    for text in (
        "01b2-secret",
        "1.25 s",
        "12,000",
        "no &lt;grant&gt;",
        "GRANT <code>USAGE</code>",
        "copy <b>1.50 s",
    ):
        assert text in html, text
    assert "secret" not in run_page(protected=False)


def test_the_command_that_compares_a_table_is_one_that_exists() -> None:
    assert "<code>pgsnow verify --select public.users</code>" in page()
