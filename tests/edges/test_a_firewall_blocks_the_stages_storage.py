"""A firewall lets Snowflake through, but not the cloud storage of its stages.

Group: account
Danger: statements work and uploads do not. Each run waits for more than two minutes and forty attempts, and the advice
is to check the account's name, while `check` finds nothing.
Answer: an upload is not repeated beyond the connector's own attempts, and the error names the storage's host and
`SYSTEM$ALLOWLIST`. `check` uploads, lists and removes a small file in the stage. The table is tried less and less
often.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from snowflake.connector.storage_client import SnowflakeStorageClient

from pgsnow.model.report import TableReport
from pgsnow.operations.check.check import CheckResult, run_checks
from pgsnow.operations.check.target import check_account
from pgsnow.snowflake.session import Result
from tests.world import World


@pytest.fixture
def blocked(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Users of which some are loaded. The connector does not wait between its attempts."""
    monkeypatch.setattr(SnowflakeStorageClient, "SLEEP_UNIT", 0.0)
    world.tables[0]["load"] = "stage"
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    assert tick(world).rows_inserted == 20
    yield world
    world.emulator.answer_with()


def tick(world: World) -> TableReport:
    with world.engine() as engine:
        return engine.tick(["public.users"]).tables[0]


def block(world: World) -> None:
    database = world.settings.snowflake.database
    world.emulator.answer_with(
        {"containing": "UPLOAD", "errno": 503, "sqlstate": "", "message": "blocked", "database": database}
    )


def stage_of(world: World) -> CheckResult:
    [found] = [each for each in run_checks(world.config, world.settings) if each.name == "snowflake stage"]
    return found


def test_an_upload_that_is_blocked_is_tried_once_in_a_run_and_named(blocked: World) -> None:
    """One PUT statement; the message has the host of the storage, the advice the firewall. Nothing is lost."""
    blocked.sql("update users set name = 'changed', updated_at = now()")
    assert stage_of(blocked).level == "ok"
    block(blocked)
    before = blocked.emulator.noted()
    report = tick(blocked)
    sent = [text for text in blocked.emulator.statements_since(before) if text.startswith("PUT")]
    assert (report.error_type, len(sent)) == ("StageUnreachable", 1)
    assert "127.0.0.1" in (report.error or "")
    assert "SYSTEM$ALLOWLIST" in (report.advice or "")
    found = stage_of(blocked)
    assert (str(found.level), "SYSTEM$ALLOWLIST" in found.fix) == ("failed", True)
    blocked.emulator.answer_with()
    assert tick(blocked).rows_updated == 20
    blocked.assert_equal()


def test_check_tries_a_stage_before_the_first_run(world: World) -> None:
    """pgsnow's own stage does not exist yet: the user's stage is in the same storage. Nothing is left in it."""
    found = stage_of(world)
    assert (str(found.level), "the user's stage" in found.detail) == ("ok", True), found
    assert [text for text in world.emulator.statements("pgsnow-check") if text.startswith("REMOVE")]


class Warehouses:
    """A session that shows one warehouse."""

    def __init__(self, state: str, resumes: str) -> None:
        self._row = ("DEV_WH", state, resumes)

    def execute(self, _sql: str) -> Result:
        return Result(rows=[self._row], columns=("name", "state", "auto_resume"), query_id="")


@pytest.mark.parametrize(
    ("state", "resumes", "level"),
    [("SUSPENDED", "false", "failed"), ("STARTED", "false", "warning"), ("SUSPENDED", "true", "ok")],
)
def test_check_finds_a_warehouse_that_is_not_resumed(
    world: World, state: str, resumes: str, level: str
) -> None:
    """Such a warehouse executes nothing while it is suspended, which a run would be the first to meet."""
    session = Warehouses(state, resumes)
    found = {each.name: each for each in check_account(session, world.settings.snowflake)}  # type: ignore[arg-type]
    assert str(found["snowflake warehouse"].level) == level
