"""`run`, `plan`, `verify`, as a user runs them."""

from __future__ import annotations

import signal

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.acceptance.cli_user import User, ended, interrupt
from tests.progress import wait_until


def rows(user: User, table: str = "USERS") -> int:
    name = f'"{user.snowflake["SNOWFLAKE_DATABASE"]}"."ANALYTICS"."{table}"'
    return int(user.query(f"select count(*) from {name}")[0][0])


def ledger_tables(user: User) -> int:
    return int(
        user.sql("select count(*) from pg_class where relname in ('sync_watermarks', 'sync_logs')")[0][0]
    )


def test_run_syncs_every_table_and_says_what_it_did(newcomer: User) -> None:
    done = newcomer.pgsnow("run", "--output", "json")
    assert done.code == 0, done.err
    assert {t["table"]: t["rows_inserted"] for t in done.json["tables"]} == {
        "public.users": 1000,
        "public.checkins": 500,
    }
    assert rows(newcomer) == 1000


def test_a_second_run_finds_nothing_to_do(user: User) -> None:
    assert user.here("run").code == 0
    again = user.here("run", "--output", "jsonl")
    assert again.code == 0
    assert [line["status"] for line in again.lines] == ["idle", "idle"]


def test_select_runs_only_the_tables_named(user: User) -> None:
    done = user.here("run", "--select", "analytics.checkins", "--output", "json")
    assert [t["table"] for t in done.json["tables"]] == ["public.checkins"]


def test_an_unknown_table_is_wrong_usage_and_names_the_known_ones(user: User) -> None:
    done = user.here("run", "--select", "public.usres")
    assert done.code == 2
    assert "public.usres" in done.err
    assert "public.users" in done.err


def test_a_run_in_a_pipe_writes_plain_lines_to_stderr_and_the_table_to_stdout(user: User) -> None:
    done = user.pgsnow("run")
    assert "\x1b" not in done.out + done.err
    assert "public.users: started" in done.err
    assert "public.users" in done.out
    assert user.pgsnow("run", "--quiet").err == ""


def test_a_table_held_elsewhere_is_left_alone_and_the_exit_code_is_3(user: User) -> None:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.settings.settings import Settings

    ledger = Ledger(Settings.from_env(user.env).ledger)
    ledger.migrate()
    try:
        ledger.leases.claim(["public.users"], run_id="other", holder="elsewhere:7")
        done = user.here("run", "--output", "json")
        held = user.here("status")
    finally:
        ledger.close()
    assert done.code == 3
    assert {t["table"]: t["status"] for t in done.json["tables"]} == {
        "public.users": "locked",
        "public.checkins": "ok",
    }
    assert "elsewhere:7" in done.out
    assert "elsewhere:7" in held.out


def test_what_waits_in_the_stage_is_loaded_at_once_when_asked_for(user: User) -> None:
    user.tables[0] |= {"load_every": "50d", "load": "stage"}
    user.save()
    assert user.here("run").code == 0
    user.sql("update public.users set name = 'new', updated_at = now() where id <= 7")
    staged = user.here("run", "--output", "json")
    assert staged.code == 0, staged.err
    waiting = {t["table"]: t["staged_rows"] for t in user.here("status", "--output", "json").json}
    assert waiting == {"public.users": 7, "public.checkins": 0}
    assert new_names(user) == 0
    loaded = user.here("run", "--load", "--output", "json")
    assert loaded.code == 0, loaded.err
    assert {t["table"]: t["rows_updated"] for t in loaded.json["tables"]}["public.users"] == 7
    assert new_names(user) == 7
    assert [t["staged_rows"] for t in user.here("status", "--output", "json").json] == [0, 0]
    again = user.here("run", "--load", "--output", "jsonl")
    assert [line["status"] for line in again.lines] == ["idle", "idle"]
    assert user.here("verify").code == 0


def new_names(user: User) -> int:
    table = f'"{user.snowflake["SNOWFLAKE_DATABASE"]}"."ANALYTICS"."USERS"'
    return int(user.query(f"select count(*) from {table} where name = 'new'")[0][0])


def test_plan_tells_a_first_read_from_a_later_one_and_writes_nothing(
    newcomer: User, emulator: EmbeddedSnowflake
) -> None:
    before = emulator.noted()
    first = newcomer.here("plan")
    assert first.code == 0, first.err
    assert first.out.count("everything: first read") == 2
    assert "+ CREATE TABLE" in first.out
    assert '"BALANCE" NUMBER(12,2)' in first.out
    assert "\nPlan: 2 to create, 0 to change, 0 unchanged. Run pgsnow apply.\nForecast: about " in first.out
    assert ledger_tables(newcomer) == 0
    sent = [text.split()[0].upper() for text in emulator.statements_since(before)]
    assert set(sent) <= {"SELECT", "SHOW", "DESCRIBE", "DESC", "ALTER", "ROLLBACK", "USE"}, sent
    newcomer.here("run")
    logs = newcomer.sql("select count(*) from sync_logs")
    spent = newcomer.here("cost", "--output", "json").json
    assert {table["table"] for table in spent["tables"]} == {"public.users", "public.checkins"}
    assert spent["credits"] > 0 < spent["forecast"]["credits_per_day"]
    then = {p["table"]: p for p in newcomer.here("run", "--dry-run", "--output", "json").json}
    assert then["public.users"]["reads"] == "nothing"
    assert then["public.users"]["ddl"] == []
    newcomer.sql("update public.users set name = 'new', updated_at = now() where id = 7")
    changed = {p["table"]: p for p in newcomer.here("plan", "--output", "json").json}
    assert changed["public.users"]["reads"].startswith("what has changed")
    assert changed["public.checkins"]["reads"] == "nothing"
    assert newcomer.sql("select count(*) from sync_logs") == logs


def test_with_manual_changes_a_table_waits_for_apply_and_its_neighbour_does_not(user: User) -> None:
    user.tables[0]["schema_changes"] = "manual"
    user.save()
    waiting = user.here("run", "--output", "json")
    assert waiting.code == 1
    stopped, other = sorted(waiting.json["tables"], key=lambda table: table["table"], reverse=True)
    assert (stopped["error_type"], other["status"]) == ("SchemaChangePending", "ok")
    assert "pgsnow apply" in waiting.err
    plan = user.here("plan", "--detailed-exitcode", "--output", "json")
    assert plan.code == 4
    shown, _ = plan.json
    assert shown["ddl"]
    assert [each["statement"] for each in shown["ddl"] if each["statement"] not in stopped["error"]] == []

    unasked = user.here("apply")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    applied = user.here("apply", "--yes")
    assert applied.code == 0, applied.err
    assert "+ CREATE TABLE" in applied.out
    assert "public.users: created table" in applied.out
    assert "The next run loads the rows." in applied.err
    assert rows(user) == 0
    again = user.here("run")
    assert again.code == 0, again.err
    assert user.here("verify").code == 0


def test_full_refresh_asks_and_without_a_terminal_needs_yes(user: User) -> None:
    user.here("run")
    user.sql("delete from public.users where id <= 10")
    refused = user.here("run", "--full-refresh")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert rows(user) == 1000
    done = user.here("run", "--full-refresh", "--yes", "--select", "public.users")
    assert done.code == 0, done.err
    assert rows(user) == 990


def test_verify_is_0_when_equal_and_4_when_not(user: User) -> None:
    user.here("run")
    assert user.here("verify").code == 0
    user.sql("update public.users set name = 'changed', updated_at = now() where id = 5")
    on_its_way = user.here("verify", "--select", "public.users")
    assert (on_its_way.code, "1 row in flight" in on_its_way.err) == (0, True)
    user.query("update analytics.users set name = 'changed', updated_at = '2000-01-01' where id = 3")
    user.query("delete from analytics.checkins where user_id = 4")
    different = user.here("verify", "--output", "json")
    assert different.code == 4
    found = {v["table"]: v for v in different.json}
    assert [d["kind"] for d in found["public.checkins"]["differences"]] == ["missing"]
    assert {d["column"] for d in found["public.users"]["differences"]} == {"NAME", "UPDATED_AT"}
    assert user.here("verify", "--select", "public.users").code == 4
    assert user.here("resync", "public.users", "public.checkins", "--yes").code == 0
    assert user.here("verify").code == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough)]
)
def test_a_signal_ends_a_run_between_two_load_units_and_the_next_run_goes_on(
    user: User, number: signal.Signals, code: int
) -> None:
    user.sql("insert into public.users (id, name) select n, 'x' from generate_series(2001, 5000) n")
    user.options = {"defaults": {"max_rows_per_load": 50}}
    user.save()
    running = user.start("run", "--select", "public.users")
    wait_until(lambda: _merges(user) > 0, "the first load unit is in", pause=0.2)  # each look is a login
    interrupt(running, number)
    done = ended(running)
    assert done.code == code, done.err
    assert "stopping after the current load batch" in done.err
    assert rows(user) < 4_000
    if number is signal.SIGINT:
        user.options = {}
        user.save()
        assert user.here("run").code == 0
        assert user.here("verify").code == 0


def _merges(user: User) -> int:
    try:
        return rows(user)
    except Exception:
        return 0
