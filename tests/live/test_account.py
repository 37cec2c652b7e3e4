"""The promises that only a real account can keep or break, run against one when SNOWFLAKE_* name it:
`SNOWFLAKE_ACCOUNT=… SNOWFLAKE_USER=… SNOWFLAKE_PRIVATE_KEY_FILE=… pytest -m live`. With S3_* of a bucket that the
account may read, through that too.

Everything happens in a schema of its own (PGSNOW_LIVE_…) of SNOWFLAKE_DATABASE, dropped at the end. Pointed at the
emulator (SNOWFLAKE_HOST) it runs there too.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.snowflake.session import connect
from tests.world import USERS, World

ACCOUNT = {name: value for name, value in os.environ.items() if name.startswith(("SNOWFLAKE_", "S3_"))}
"""Taken at import: a fixture empties the environment of such names before the first test."""
METHODS = ["stage", "insert", *(["s3"] if "S3_BUCKET" in ACCOUNT else [])]

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("SNOWFLAKE_ACCOUNT" not in ACCOUNT, reason="no SNOWFLAKE_ACCOUNT to run against"),
]


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    schema = f"PGSNOW_LIVE_{secrets.token_hex(4).upper()}"
    world = World({"POSTGRES_DSN": database, **ACCOUNT}, None, tmp_path)
    world.tables[0]["target"] = f"{schema}.users"
    world.sql(USERS)
    yield world
    with connect(world.settings.snowflake, query_tag="pgsnow live test") as session:
        session.execute(f'DROP SCHEMA IF EXISTS "{schema}"')
    world.close()


EDGES = """
alter table users add big numeric(38,10), add f float8, add b bytea, add d date, add t time,
  add ts timestamp, add tags text[];
insert into users values
  (1, '', -0.01, 'null', '0001-01-01 00:00:00+00', 9999999999999999999999999999.9999999999, 'NaN', '\\x00ff',
   '0001-01-01', '23:59:59.999999', '9999-12-31 23:59:59.999999', '{}'),
  (2, null, null, null, '9999-12-31 23:59:59.999999+00', null, '-Infinity', '', '9999-12-31', '00:00', null, null),
  (3, '¿🦆?', 1, '{"n": 12345678901234567890.123, "s": null}', now(), 0, -0.0, null, null, null, now(),
   '{a,null,"b c"}')
"""


@pytest.mark.parametrize("method", METHODS)
def test_every_edge_value_arrives_exactly(world: World, method: str) -> None:
    world.tables[0]["load"] = method
    world.sql(EDGES)
    with world.engine() as engine:
        report = engine.tick()
        assert not report.failures, report.failures
        world.sql("update users set name = 'again', updated_at = now()")
        assert not engine.tick().failures
    world.assert_equal()
    assert world.leftovers() == []


def test_a_stale_merge_changes_nothing_and_a_backdated_row_wins(world: World) -> None:
    world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 100) g")
    with world.engine() as engine:
        engine.tick()
        world.sql(
            "update users set name = 'backdated', updated_at = updated_at - interval '5 s' where id <= 10"
        )
        assert engine.tick().tables[0].rows_updated == 10
    world.assert_equal()
