"""`pgsnow log`: what it prints, and how it ends."""

from __future__ import annotations

import json

from tests.acceptance.cli_user import User

TABLES = {
    "tables": [
        {"source": "public.users", "target": "analytics.users", "mode": "log", "pk": "id"},
        {"source": "public.silent", "target": "analytics.silent", "mode": "log", "pk": "id"},
    ]
}
FIX = "ALTER TABLE public.silent REPLICA IDENTITY DEFAULT;"


def test_setup_status_and_drop(user: User) -> None:
    """The set-up prints what it executed, and ends with 1 while a table is left out, with the statement that helps; the
    status has the same facts for people and for programs; dropping asks for --yes."""
    user.sql("create table silent (id bigint primary key)")
    user.sql("alter table silent replica identity nothing")
    user.save(json.dumps(TABLES))
    dry = user.here("log", "setup", "--dry-run")
    assert dry.code == 1
    assert 'CREATE PUBLICATION "pgsnow_' in dry.out
    assert "pg_create_logical_replication_slot" in dry.out
    assert user.sql("select count(*) from pg_publication") == [(0,)]
    before = user.here("log", "status", "-o", "json")
    assert (before.json[0]["exists"], before.json[0]["action"]) == (False, "refuse")
    made = user.here("log", "setup")
    assert made.code == 1
    assert f"→ {FIX}" in made.err
    assert "was made; the publication" in made.out
    user.sql(FIX)
    again = user.here("log", "setup", "-o", "json")
    assert again.code == 0
    assert [statement.partition("ADD")[2] for statement in again.json[0]["executed"]] == [
        ' TABLE "public"."silent"'
    ]
    shown, [facts] = user.here("log", "status"), user.here("log", "status", "-o", "json").json
    assert (facts["exists"], facts["action"], facts["generation"], facts["trouble"]) == (
        True,
        "read",
        1,
        None,
    )
    assert "the log is read" in shown.out
    assert facts["slot"] in shown.out
    assert "of at most 8.0 GB" in shown.out
    refused = user.here("log", "drop")
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert "pg_drop_replication_slot" in user.here("log", "drop", "--yes").out
    assert user.here("log", "drop", "--yes").out == "There was nothing to drop.\n"
