"""`status`: one word a table, and never the same word for 'no changes' and 'stuck'."""

from __future__ import annotations

import json
from typing import Any

from tests.acceptance.cli_user import User, ended, interrupt


def states(user: User) -> dict[str, Any]:
    done = user.here("status", "--output", "json")
    assert done.code == 0, done.err
    return {record["table"]: record["state"] for record in done.json}


def test_before_the_first_run_every_table_is_listed_and_nothing_is_written(newcomer: User) -> None:
    assert states(newcomer) == {"public.users": "never-run", "public.checkins": "never-run"}
    assert newcomer.sql("select to_regclass('public.sync_watermarks')") == [(None,)]


def test_states_follow_what_happens(user: User) -> None:
    user.here("run")
    assert states(user) == {"public.users": "synced", "public.checkins": "synced"}
    user.here("run")
    assert states(user) == {"public.users": "no-changes", "public.checkins": "no-changes"}
    user.sql(
        "update sync_watermarks set last_run = last_run - interval '1 day' where source_table = 'public.users'"
    )
    assert states(user) == {"public.users": "stuck", "public.checkins": "no-changes"}
    user.sql("alter table public.checkins drop column last_modified")
    user.here("run")
    assert states(user) == {"public.users": "no-changes", "public.checkins": "failed"}
    shown = user.here("status")
    assert "last_modified" in shown.out


def test_watch_shows_it_again_until_ctrl_c(user: User) -> None:
    watching = user.start("status", "--watch", "--every", "0.2", "--output", "jsonl")
    assert watching.stdout is not None
    first = [json.loads(watching.stdout.readline()) for _ in range(4)]
    interrupt(watching)
    done = ended(watching)
    assert [record["table"] for record in first] == ["public.users", "public.checkins"] * 2
    assert done.code == 130
