"""`logs`, `pause`, `resume` and `doctor`: commands of every day, from the ledger alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgsnow.cli.commands.daily.logs import RunChoice, _recent, new_runs
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.report import Status, TableReport
from pgsnow.model.settings.settings import Settings
from tests.acceptance.cli_user import SECRET, User
from tests.servers import own_database
from tests.world import NO_SNOWFLAKE

BEGAN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def person(postgres: EmbeddedPostgres, user_template: str, tmp_path: Path) -> Iterator[User]:
    """A user whose Snowflake does not exist: these commands do not need it."""
    with own_database(postgres, user_template) as dsn:
        user = User(tmp_path, dsn, NO_SNOWFLAKE)
        user.save()
        yield user
        user.close()


@pytest.fixture
def ledger(person: User) -> Iterator[Ledger]:
    made = Ledger(Settings.from_env({**NO_SNOWFLAKE, "POSTGRES_DSN": person.dsn}).ledger)
    yield made
    made.close()


def ran(ledger: Ledger, number: int, status: Status, table: str = "public.users", **facts: Any) -> None:
    """Record a run, as a tick does."""
    run_id = f"run{number:03}"
    [claim], _ = ledger.leases.claim([table], run_id=run_id, holder="worker:1")
    started = BEGAN + timedelta(seconds=facts.pop("after", 120 * number))
    report = TableReport(table, "D.A.T", run_id, status, started, **{"seconds": 1.5, **facts})
    ledger.run_log.finish([(claim, report)])
    ledger.leases.release([claim])


def test_logs_show_the_newest_runs_last_and_filter_them(person: User, ledger: Ledger) -> None:
    """A person sees what happened, and to which table, without SQL."""
    assert "no runs" in person.here("logs").err
    ran(ledger, 1, Status.OK, rows_inserted=12, events=("created the target",))
    ran(ledger, 2, Status.IDLE)
    ran(ledger, 3, Status.ERROR, error="public.users: no column updated_at", advice="Correct it.")
    ran(ledger, 3, Status.OK, "public.checkins", rows_updated=3)
    found = person.here("logs", "--output", "jsonl").lines
    assert [(run["run_id"], run["table"]) for run in found] == [
        ("run001", "public.users"), ("run002", "public.users"), ("run003", "public.checkins"),
        ("run003", "public.users"),
    ]  # fmt: skip
    assert found[0]["rows_inserted"] == 12
    shown = person.here("logs", "analytics.users", "--status", "error")
    assert "no column updated_at" in shown.out
    assert "01-31 12:06:00" in shown.out
    assert shown.out.splitlines()[-1] == "1 run: 1 error"
    assert [run["run_id"] for run in person.here("logs", "--limit", "2", "-o", "json").json] == ["run003"] * 2
    assert [run["table"] for run in person.here("logs", "--run", "run003", "-o", "json").json] == [
        "public.checkins",
        "public.users",
    ]
    assert "run002" not in person.here("logs", "--changes").out
    assert person.here("logs", "public.nothing").code == 2


def test_followed_logs_show_each_run_once_also_a_long_one(person: User, ledger: Ledger) -> None:
    """A run is recorded when it ends: one that began an hour ago comes after runs that are shown already."""
    ran(ledger, 10, Status.IDLE)
    first = _recent(ledger)
    ran(ledger, 11, Status.IDLE)
    ran(ledger, 1, Status.OK, "public.checkins", seconds=3600.0)
    second = _recent(ledger)
    assert [run.run_id for run in new_runs(ledger, RunChoice(), first, second)] == ["run011", "run001"]
    assert new_runs(ledger, RunChoice(), second, _recent(ledger)) == []
    assert [r.run_id for r in new_runs(ledger, RunChoice(idle=False), first, second)] == ["run001"]
    assert [r.run_id for r in new_runs(ledger, RunChoice("public.users"), first, second)] == ["run011"]


def test_a_pause_holds_until_it_is_resumed_and_says_who_and_why(person: User, ledger: Ledger) -> None:
    """No run gets a paused table, not even one that names it; the others see who paused it, and the reason."""
    done = person.here("pause", "public.users", "analytics.checkins", "--reason", "migration of the keys")
    assert done.code == 0, done.err
    assert "2 tables: 2 paused" in done.out
    assert "pgsnow resume public.users public.checkins" in done.err
    _, refused = ledger.leases.claim(["public.users"], run_id="r", holder="worker:1")
    assert [refusal.reason for refusal in refused] == ["paused"]
    row = next(row for row in ledger.run_log.watermarks() if row.source_table == "public.users")
    assert row.paused_reason == "migration of the keys"
    assert "@" in (row.paused_by or "")
    again = person.here("pause", "public.users", "--reason", "another", "--output", "json")
    assert [one["result"] for one in again.json] == ["was paused already"]
    assert "migration of the keys" in person.here("status").out
    assert person.here("resume", "--all").code == 0
    claims, _ = ledger.leases.claim(["public.users"], run_id="r2", holder="worker:1")
    ledger.leases.release(claims)
    assert len(claims) == 1


def test_pausing_names_its_tables(person: User) -> None:
    """Nothing is paused by mistake: neither all tables by leaving the names out, nor some by a misspelled name."""
    for args in (["pause"], ["pause", "public.users", "--all"], ["pause", "public.users", "public.user"]):
        assert person.here(*args).code == 2
    assert person.here("resume", "--all", "-o", "jsonl").lines[0]["result"] == "was not paused"


def test_a_bug_report_has_what_is_needed_and_neither_secrets_nor_rows(person: User, ledger: Ledger) -> None:
    """It can be attached to a public issue: every file is searched for what must not be in it."""
    person.options = {"ledger_schema": "public"}
    person.tables[0]["where"] = "name <> 'Jane Doe'"
    person.save()
    private = ("Jane Doe", "jane@example.com", "4111111111111111", "2026-01-31T11", SECRET, "hooks.example")
    ran(
        ledger, 1, Status.ERROR, last_watermark="2026-01-31T11:59:00+00:00",
        error="public.users: Key (name)=(Jane Doe) of 'jane@example.com', 4111111111111111; https://hooks.example/x",
    )  # fmt: skip
    done = person.here("doctor", "--no-check", "--write", "report.zip", SLACK_TOKEN="xoxb-" + SECRET)
    assert done.code == 0, done.err
    assert "8 files" in done.out.splitlines()[-1]
    file = person.folder / "report.zip"
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {text for text in private for content in texts.values() if text in content} == set()
    assert json.loads(texts["about.json"])["pgsnow"]
    assert json.loads(texts["variables.json"])["POSTGRES_DSN"] == "set"
    assert "source: public.users" in texts["sync_config.yaml"]
    [failed] = json.loads(texts["runs.json"])["failed"]
    assert failed["error"].startswith("public.users: Key (name)")
    assert person.here("doctor", "--no-check", "--write", "report.zip").code == 2


def test_a_bug_report_is_made_when_nothing_else_works(person: User) -> None:
    """With a broken table list and no server: what fails is in the report with its reason."""
    person.save("tables: [{source: public.users, targett: x}]")
    done = person.here("doctor", "--write", "a.zip", POSTGRES_DSN="postgresql://127.0.0.1:1/none")
    assert done.code == 0, done.err
    person.save()
    done = person.here(
        "doctor", "--no-check", "--write", "b.zip", POSTGRES_DSN="postgresql://127.0.0.1:1/none"
    )
    assert done.code == 0, done.err
    assert "could not be made" in done.out
    with zipfile.ZipFile(person.folder / "a.zip") as archive:
        assert "targett" in archive.read("check.json").decode()


def test_followed_logs_need_a_form_without_an_end(person: User) -> None:
    """One JSON document would never be closed."""
    assert person.here("logs", "--follow", "-o", "json").code == 2
