"""The statements of docs/going-live.md are sufficient, and grant no more than is necessary."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from tests.unit.project.markdown import ROOT, blocks
from tests.world import USERS, World

PAGE = ROOT / "docs/going-live.md"
CHECKINS = "create table checkins (id int primary key, last_modified timestamptz not null default now())"


def test_the_postgres_role_it_makes_can_sync(
    database: str, snowflake_env: dict[str, str], tmp_path: Path, emulator: object
) -> None:
    """With the ledger in the schema it makes, and lossless without reading more than it must."""
    grants, indexes = blocks(PAGE, "sql")[:2]
    role = f"pgsnow_{database.rsplit('/', 1)[1]}"
    grants = re.sub(r"(ROLE|TO|AUTHORIZATION) pgsnow\b", rf"\1 {role}", grants)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(USERS)
        owner.execute(CHECKINS)
        owner.execute(grants)
        for statement in indexes.strip().split("\n"):
            owner.execute(statement)
        owner.execute("insert into users (id, name) values (1, 'a'), (2, 'b')")
    try:
        as_role = database.replace("postgres@", f"{role}:change-me@")
        world = World({"POSTGRES_DSN": as_role, **snowflake_env}, emulator, tmp_path)  # type: ignore[arg-type]
        world.options = {"ledger_schema": "pgsnow"}
        with world.engine() as engine:
            assert [table.status for table in engine.tick().tables] == ["ok"]
            assert [table.status for table in engine.tick().tables] == ["idle"]
        listings = world.sql("select count(*) from pgsnow.sync_horizon")
        assert listings == [(0,)], "transactions were seen as they are, without the fallback"
        world.close()
    finally:
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute(f"DROP OWNED BY {role} CASCADE")
            owner.execute(f"DROP ROLE {role}")
