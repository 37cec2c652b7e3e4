"""The live suite, run against the emulator: one schema, one session, and one source for the whole syncs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.config.cost import WarehouseSize
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import Session, connect
from tests.live.__main__ import main
from tests.live.cases import CASES
from tests.live.contract import Answer, Case, asked, own_schema
from tests.live.page import PAGE, filled
from tests.live.report import Cost, cost_of, written
from tests.live.syncs import sync_answers, sync_world


@pytest.fixture
def schema(snowflake_env: dict[str, str]) -> TargetName:
    return TargetName(snowflake_env["SNOWFLAKE_DATABASE"], "PGSNOW_LIVE_DRY", "none")


@pytest.fixture
def session(snowflake_env: dict[str, str]) -> Iterator[Session]:
    settings = Settings.from_env({"POSTGRES_DSN": "dbname=none", **snowflake_env})
    with connect(settings.snowflake, query_tag="dry run") as session:
        yield session


def test_the_emulator_answers_as_each_case_says(session: Session, schema: TargetName, tmp_path: Path) -> None:
    """As Snowflake, or with the deviation that the case names; one that is gone is to be removed from the case. The
    schema is gone afterwards."""
    with own_schema(session, schema, tmp_path) as account:
        found = {case.promise: asked(account, case).found for case in CASES}
    assert found == {case.promise: case.of_the_emulator for case in CASES}
    assert schema.schema not in session.execute("SHOW SCHEMAS").column("name")


def test_whole_syncs_end_with_equal_tables(
    postgres: EmbeddedPostgres, snowflake_env: dict[str, str], schema: TargetName, tmp_path: Path
) -> None:
    """Merges, a full replace and deferred loads; `make live` adds the other ways."""
    with sync_world(postgres, snowflake_env, schema, tmp_path, ("users", "small", "later")) as world:
        answers = list(sync_answers(world))
    assert [(each.case.promise, each.found) for each in answers if not each.as_expected] == []


def test_the_schema_is_dropped_after_ctrl_c(session: Session, schema: TargetName, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), own_schema(session, schema, tmp_path):
        raise KeyboardInterrupt
    assert schema.schema not in session.execute("SHOW SCHEMAS").column("name")


def test_without_an_account_the_suite_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the names of the variables."""
    assert main([]) == 2
    said = capsys.readouterr().err
    assert "SNOWFLAKE_ACCOUNT: is not set" in said
    assert "CREATE SCHEMA on the database" in said


def test_the_cost_is_known_before_anything_is_run(session: Session) -> None:
    """From the warehouse's size and AUTO_SUSPEND; more than 0.2 credits are not spent."""
    cost = cost_of(session, "DEV_WH")
    assert cost.refusal is None
    assert cost.estimate.startswith("Warehouse DEV_WH (x-small, AUTO_SUSPEND = ")
    large, endless = Cost("L", WarehouseSize.LARGE, 30), Cost("E", WarehouseSize.XSMALL, 0)
    assert "use an X-SMALL warehouse" in (large.refusal or "")
    assert "never suspends itself" in (endless.refusal or "")


def test_the_report_shows_what_differs() -> None:
    """With the page of the documentation and the emulator's answer; equal answers are only counted."""
    case = Case("a text stays", "COPY", [("a",)], None, [("b",)])
    report = written(
        [Answer(case, [("c",)], 1.5), Answer(case, [("a",)], 1.0)], Cost("W", WarehouseSize.XSMALL, 30)
    )
    assert report.splitlines() == [
        "DIFFERS  a text stays",
        "         Snowflake docs, COPY",
        "         expected: [('a',)]",
        "         found:    [('c',)]",
        "         emulator: [('b',)]",
        "",
        "2 cases, 1 differ. 2.5 s of statements that need a warehouse: about 0.017 credits.",
    ]


def test_the_page_lists_the_cases() -> None:
    """Made by `python -m tests.live.page`."""
    assert PAGE.read_text() == filled(PAGE.read_text())
