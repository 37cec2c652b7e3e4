"""A plan on the screen: hundreds of tables stay readable, and nothing that was asked for is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pgsnow.cli.options import Format
from pgsnow.cli.output.plan_text import SHORT, show, tell
from pgsnow.cli.output.sizes import bytes_text, rows_text
from pgsnow.model.config.cost import CostConfig
from pgsnow.model.cost.bill import Bill
from pgsnow.operations.cost.result import DayForecast, OtherSetting, TableForecast
from pgsnow.operations.plan.result import Action, Grant, GrantSide, TablePreview

TICK = ('CREATE OR REPLACE TRANSIENT TABLE "T"', 'MERGE INTO "T"')


def new(number: int = 1) -> TablePreview:
    return TablePreview(
        f"public.t{number}", "D.S.T", Action.CREATE, ddl=(f'CREATE TABLE "T{number}" ()',),
        reads="everything: first read", mode="watermark", mode_reason="because", load="auto",
        rows=12_000, bytes=3 * 1024**2, tick=TICK,
    )  # fmt: skip


SAME = TablePreview("public.same", "D.S.SAME", reads="nothing", mode="xmin", load="auto", tick=TICK)


def test_many_tables_are_a_line_each_and_the_first_few_at_length(capsys: pytest.CaptureFixture[str]) -> None:
    show([new(n) for n in range(SHORT + 30)], Format.TABLE, verbose=False)
    told = capsys.readouterr()
    assert told.out.count("everything: first read") == SHORT + 30
    assert told.out.count("+ CREATE TABLE") == SHORT
    assert "and 30 more tables" in told.err
    show([new(n) for n in range(SHORT + 30)], Format.TABLE, verbose=True)
    assert capsys.readouterr().out.count("+ CREATE TABLE") == SHORT + 30


def test_what_nobody_asked_for_is_not_told_and_what_somebody_did_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([new(), SAME], Format.TABLE, verbose=False)
    short = capsys.readouterr().out
    assert "-- public.same" not in short
    assert "MERGE" not in short
    show([SAME], Format.TABLE, verbose=True)
    long = capsys.readouterr().out
    assert "  MERGE INTO" in long
    assert "sends nothing" in long
    assert "first load" not in long
    show([replace(new(), first_load=("COPY INTO D.S.T",))], Format.TABLE, verbose=True)
    assert "  COPY INTO D.S.T;" in capsys.readouterr().out


def test_rights_and_changes_stand_before_the_statements_they_explain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = TablePreview(
        "public.t", "D.S.T", Action.CHANGE, changes=("column a was added",), ddl=('ALTER TABLE "T" ADD COLUMN "A" X',),
        grants=(Grant(GrantSide.SNOWFLAKE, "GRANT OWNERSHIP …", certain=False),), manual=True,
    )  # fmt: skip
    show([table], Format.TABLE, verbose=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("-- public.t → D.S.T") + 1 :] == [
        "-- since the last run: column a was added",
        "-- missing in snowflake unless inherited from another role: GRANT OWNERSHIP …;",
        "-- schema_changes: manual: a run is blocked until `pgsnow apply` has sent these",
        '~ ALTER TABLE "T" ADD COLUMN "A" X;',
    ]


def test_json_is_whole_on_stdout_and_the_sum_is_said_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    tables = [new(), SAME]
    show(tables, Format.JSON, verbose=False)
    tell(tables, Format.JSON)
    told = capsys.readouterr()
    first, second = json.loads(told.out)
    assert first["ddl"] == [{"mark": "+", "statement": 'CREATE TABLE "T1" ()'}]
    assert first["size"] == {"rows": 12_000, "bytes": 3_145_728}
    assert second["tick"] == {"changes": list(TICK), "idle": []}
    assert "Plan: 1 to create" in told.err


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "unknown"), (0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 kB"), (1024**2 - 1, "1.0 MB"),
        (1_500_000_000, "1.4 GB"), (2**60, "1024.0 PB"),
    ],
)  # fmt: skip
def test_bytes_as_people_read_them(size: int | None, text: str) -> None:
    assert bytes_text(size) == text


def test_rows_are_told_as_the_estimate_they_are() -> None:
    assert [rows_text(n) for n in (None, 0, 12_000)] == ["unknown", "0", "about 12,000"]


def test_a_warning_is_shown_once_for_all_its_tables_and_types_before_the_first_load(
    capsys: pytest.CaptureFixture[str],
) -> None:
    types = ("tags: text[] → VARIANT",)
    created, doubted = replace(new(), types=types, warnings=("a doubt → a fix",)), replace(SAME, types=types)
    show([created, replace(doubted, warnings=("a doubt → a fix",))], Format.TABLE, verbose=False)
    shown = capsys.readouterr().out
    assert "! public.t1, public.same: a doubt → a fix" in shown
    assert shown.count("a doubt") == 1
    assert shown.count("-- type: tags: text[] → VARIANT") == 1, "the second target is there already"
    show([doubted], Format.JSON, verbose=False)
    [record] = json.loads(capsys.readouterr().out)
    assert (record["types"], record["warnings"]) == (list(types), [])


def test_a_plan_ends_with_what_a_day_costs_and_what_other_settings_would_save(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Credits by table and in all, with the price that is set, and whether they are measured or assumed."""
    table = TableForecast("public.t1", 3.6, 144.0, is_measured=False)
    day = DayForecast(
        {"public.t1": table}, Bill.of_day(3.6, 288, 0.05), 144.0, (OtherSetting("load_every: 1h", 1, 0.6),),
        CostConfig(credit_price=3.0),
    )  # fmt: skip
    show([new(), SAME], Format.TABLE, verbose=False, forecasts=day.tables)
    tell([new(), SAME], Format.TABLE, day)
    told = capsys.readouterr().out
    assert "credits/day" in told.splitlines()[0]
    assert told.splitlines()[1].endswith("3.6")
    assert told.splitlines()[-2:] == [
        "Forecast: about 3.6 credits (10.80) a day for 1 table together, 144 resumes of the warehouse; no table has a"
        " history yet, each is assumed to change in 20% of the ticks.",
        "  with load_every: 1h: about 0.6 credits (1.80)",
    ]
    show([new(), SAME], Format.JSON, verbose=False, forecasts=day.tables)
    first, second = json.loads(capsys.readouterr().out)
    assert first["forecast"] == table.to_json()
    assert second["forecast"] is None
