"""Whole syncs of the engine, from a source database into the schema of the account, as cases."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import quote
from tests.live.contract import Answer, Case
from tests.servers import own_database
from tests.world import USERS, World

LOADING = "pgsnow: how rows are loaded"
EDGES = """
alter table users add big numeric(38,10), add f float8, add b bytea, add d date, add t time,
  add ts timestamp, add tags text[], add u uuid;
insert into users values
  (1, '', -0.01, 'null', '0001-01-01 00:00:00+00', 9999999999999999999999999999.9999999999, 'NaN', '\\x00ff',
   '0001-01-01', '23:59:59.999999', '9999-12-31 23:59:59.999999', '{}', gen_random_uuid()),
  (2, null, null, null, '9999-12-31 23:59:59.999999+00', null, '-Infinity', '', '9999-12-31', '00:00',
   null, null, null),
  (3, '¿🦆?', 1, '{"n": 12345678901234567890.123, "s": null}', now(), 0, -0.0, null, null, null, now(),
   '{a,null,"b c"}', null),
  (4, '\\N', 2, '{"a": {"b": []}}', now(), 1, 0.1, '\\x', '1500-02-28', '12:00', '0001-01-01', '{\\\\N}', null);
insert into users (id, name) select g, 'n' || g from generate_series(5, 60) g
"""
ALWAYS = {"sweep_every": "1ms", "sweep_share": "100%"}
WAYS: dict[str, dict[str, Any]] = {
    "users": ALWAYS,
    "by_table": {"load_via": "table", **ALWAYS},
    "small": {"mode": "full"},
    "later": {"load_every": "1h", "load_when_rows": 40},
    "marked": {"deletes": "soft", **ALWAYS},
}
"""A table of the source → what its entry in the configuration adds. `users` is always there."""
STEPS = (
    ("the first load of each table", ""),
    ("3 changed rows, a full replace", "update {} set name = 'again', updated_at = now() where id <= 3"),
    ("30 changed rows, a full replace", "update {} set name = 'more', updated_at = now() where id > 20 and id <= 50"),
    ("deleted rows, a full replace", "delete from {} where id between 2 and 9"),
    ("20 changed rows, a deferred load", "update {} set balance = 5, updated_at = now() where id > 40"),
)  # fmt: skip
WAITS = "later"
TICKS = 3
"""More ticks after rows were deleted: a search for them may not be due yet, as the last one took as long."""


@contextlib.contextmanager
def sync_world(
    postgres: EmbeddedPostgres,
    env: dict[str, str],
    schema: TargetName,
    folder: Path,
    chosen: Collection[str] = frozenset(WAYS),
) -> Iterator[World]:
    """A source with tables that are loaded in the chosen ways into this schema. env: SNOWFLAKE_*, S3_*."""
    with own_database(postgres) as dsn:
        world = World({"POSTGRES_DSN": dsn, **env}, None, folder)
        try:
            world.sql(USERS + EDGES)
            ways = {name: way for name, way in WAYS.items() if name in chosen}
            ways |= {"bucket": {"load": "s3", **ALWAYS}} if "S3_BUCKET" in env else {}
            for name in ways:
                if name != "users":
                    world.sql(f"create table {name} (like users including all)")
                    world.sql(f"insert into {name} select * from users")
            target = f"{quote(schema.database)}.{quote(schema.schema)}"
            world.tables = [
                {**world.tables[0], "source": f"public.{name}", "target": f"{target}.{name}", **way}
                for name, way in ways.items()
            ]
            yield world
        finally:
            world.close()


def sync_answers(world: World) -> Iterator[Answer]:
    """One case for each step, then those of the end. A case expects no failure, and no difference between source and
    target of each table that is loaded by then."""
    for step, change in STEPS:
        yield _synced(world, step, change)
    unequal = [f"{verdict.table}: {verdict}" for verdict in world.verdicts() if not verdict.equal]
    yield Answer(Case("whole sync: `pgsnow verify` finds all tables equal", LOADING, [], None), unequal)
    case = Case(
        "whole sync: no staging table, and no file that no later run removes, is left", LOADING, [], None
    )
    yield Answer(case, world.leftovers())


def _synced(world: World, step: str, change: str) -> Answer:
    for entry in world.tables if change else ():
        if not (change.startswith("delete") and entry["source"].endswith(WAITS)):
            world.sql(change.format(entry["source"]))
    with world.engine() as engine:
        report = engine.tick()
        missing = {t["source"] for t in world.tables if "sweep_every" in t and change.startswith("delete")}
        missing -= {table.table for table in report.tables if table.rows_deleted}
        for _ in range(TICKS if missing else 0):
            engine.tick()
    found = [f"{table.table}: {table.error}" for table in report.failures]
    last = step == STEPS[-1][0]
    compared = [t["source"] for t in world.tables if last or t["source"] != f"public.{WAITS}"]
    for table, differences in world.differences(*compared).items():
        found += [f"{table}: {difference}" for difference in differences[:3]]
    seconds = sum(table.warehouse_seconds for table in report.tables)
    return Answer(Case(f"whole sync: {step}", LOADING, [], None), found, seconds)
