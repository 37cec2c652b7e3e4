"""A check says what a run would do.

Group: process
Danger: `pgsnow check` is green and the run fails, or check fails although every run works: after a while nobody
believes either.
Answer: check and plan look at a table by the functions with which a run does it. A table fails in check exactly where
its run would stop, with the same reason and the same fix.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import TableReport
from pgsnow.model.sentences import without_name
from pgsnow.operations.check.check import Level, run_checks
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.result import CheckResult
from pgsnow.operations.plan.preview import preview
from tests.edges.reader import reading_role
from tests.servers import own_database
from tests.world import MemoryWorld, World


@dataclass(frozen=True)
class Situation:
    """A table `public.<name>`. before: SQL before the first run, by default a plain table of one row. after: what then
    happens in the source; target: in Snowflake; ledger: in the ledger. entry: of the configuration, before and after.
    loaded: it is loaded first. works: a run of it succeeds in the end. {t}: the table's name, {role}: the role that
    reads."""

    name: str
    after: str = ""
    target: str = ""
    ledger: str = ""
    before: str = "create table {t} (id int primary key, name text); insert into {t} values (1, 'a')"
    entry: Mapping[str, Any] = field(default_factory=lambda: {"mode": "xmin"})
    later: Mapping[str, Any] = field(default_factory=dict)
    loaded: bool = False
    works: bool = False


FULL = {"mode": "full"}
WATERMARK = {"watermark_column": "at"}
SITUATIONS = [
    Situation("plain", works=True),
    Situation("empty", "truncate {t}", works=True),
    Situation("widened", "alter table {t} add column more text", loaded=True, works=True),
    Situation("dropped", "drop table {t}"),
    Situation("renamed", "alter table {t} rename to {t}_now", loaded=True),
    Situation("denied", "revoke all on {t} from {role}"),
    Situation("hidden", "alter table {t} enable row level security; create policy p on {t} using (false)"),
    Situation("key_lost", "alter table {t} drop constraint {t}_pkey"),
    Situation("key_unknown", later={"pk": "nothing"}),
    Situation("column_unknown", later={"columns": {"exclude": ["nothing"]}}),
    Situation("where_broken", later={"where": "id = = 1"}),
    Situation("where_unknown", later={"where": "nothing = 1"}),
    Situation("transform_missing", later={"transform": {"function": "nowhere:rows"}}),
    Situation("transform_breaks", later={"transform": {"function": "tests.edges.breaks_when_imported:rows"}}),
    Situation("column_denied", "revoke all on {t} from {role}; grant select (id) on {t} to {role}"),
    Situation(
        "column_left_out",
        "revoke all on {t} from {role}; grant select (id, at) on {t} to {role}",
        before="create table {t} (id int primary key, at timestamptz default now(), x int)",
        entry={**WATERMARK, "columns": {"include": ["id", "at"]}},
        works=True,
    ),
    Situation(
        "watermark_lost",
        "alter table {t} drop column at",
        before="create table {t} (id int primary key, at timestamptz default now())",
        entry=WATERMARK,
    ),
    Situation(
        "watermark_text",
        "alter table {t} alter at type text",
        before="create table {t} (id int primary key, at timestamptz default now())",
        entry=WATERMARK,
    ),
    Situation(
        "type_changed",
        "alter table {t} alter name type bytea using name::bytea",
        later={"on_type_change": "fail"},
        loaded=True,
    ),
    Situation(
        "view_by_xmin",
        before="create table {t}_base (id int primary key); create view {t} as select * from {t}_base",
        entry={"mode": "xmin", "pk": "id"},
    ),
    Situation(
        "view_broken",
        "drop table {t}_base",
        before="create table {t}_base (id int); create function {t}_f() returns table (id int) language plpgsql"
        " as $$ begin return query select b.id from {t}_base b; end $$; create view {t} as select * from {t}_f()",
        entry=FULL,
    ),
    Situation(
        "view_value",
        "insert into {t}_base values (0)",
        before="create table {t}_base (id int); create view {t} as select 1 / id as n from {t}_base",
        entry=FULL,
    ),
    Situation(
        "unpopulated",
        before="create materialized view {t} as select 1 as id with no data",
        entry=FULL,
    ),
    Situation(
        "emptied",
        "refresh materialized view {t} with no data",
        before="create materialized view {t} as select 1 as id",
        entry=FULL,
    ),
    Situation("populated", before="create materialized view {t} as select 1 as id", entry=FULL, works=True),
    Situation("no_key", before="create table {t} (id int)"),
    Situation("sequence", before="create sequence {t}", entry=FULL),
    Situation("manual", "alter table {t} add column more text", later={"schema_changes": "manual"}),
    Situation("manual_unchanged", later={"schema_changes": "manual"}, loaded=True, works=True),
    Situation(
        "targetview",
        "update {t} set name = 'b'",
        "ALTER TABLE {t} RENAME TO {t}_B; CREATE VIEW {t} AS SELECT * FROM {t}_B",
        loaded=True,
    ),
    Situation(
        "targetconflict",
        "alter table {t} add column n int; update {t} set name = 'b'",
        "CREATE TABLE {t} (ID NUMBER(38,0), N DATE)",
    ),
    Situation(
        "targetrequired",
        "alter table {t} add column n int; update {t} set name = 'b'",
        "CREATE TABLE {t} (ID NUMBER(38,0), OWN VARCHAR NOT NULL)",
    ),
    Situation("targetnowhere", entry={"mode": "xmin", "target": "nowhere.analytics.t"}),
    Situation(
        "state_damaged",
        ledger="update sync_watermarks set checkpoint = '{{}}' where source_table = 'public.{t}'",
        loaded=True,
    ),
]


@dataclass(frozen=True)
class Outcomes:
    """By table: the failed results of check, the errors of plan (with their advice), and the reports of the run."""

    check: Mapping[str, list[CheckResult]]
    plan: Mapping[str, tuple[str | None, str | None]]
    run: Mapping[str, TableReport]


@pytest.fixture(scope="module")
def outcomes(
    postgres: EmbeddedPostgres, emulator: EmbeddedSnowflake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """All situations in one database, checked, planned and run together."""
    base = f"T_{secrets.token_hex(6).upper()}"
    emulator.create_database(base)
    folder: Path = tmp_path_factory.mktemp("check")
    with own_database(postgres) as dsn:
        world = World({"POSTGRES_DSN": dsn, **emulator.settings_env(database=base)}, emulator, folder)
        world.options = {"parallel_tables": 1}
        with reading_role(world) as role:
            yield outcomes_in(world, role)
        world.close()
    emulator.drop_database(base)


def outcomes_in(world: World, role: str) -> Outcomes:
    world.tables = []
    for each in SITUATIONS:
        world.sql(each.before.format(t=each.name))
        source = f"public.{each.name}"
        world.tables.append({"source": source, "target": f"analytics.{each.name}", **each.entry})
    world.sql(f"grant select on all tables in schema public to {role}; grant pg_read_all_stats to {role}")
    with world.engine() as engine:
        engine.tick([f"public.{each.name}" for each in SITUATIONS if each.loaded])
    world.snowflake("USE SCHEMA ANALYTICS")
    for each, entry in zip(SITUATIONS, world.tables, strict=True):
        entry |= each.later
        for statement in (each.after, each.ledger):
            world.sql(statement.format(t=each.name, role=role))
        for statement in filter(None, each.target.format(t=each.name.upper()).split("; ")):
            world.snowflake(statement)
    found: dict[str, list[CheckResult]] = {}
    for result in run_checks(world.config, world.settings):
        if result.level is Level.FAILED:
            found.setdefault(result.name.removeprefix("target of "), []).append(result)
    plans = {each.table: (each.error, each.advice) for each in preview(world.config, world.settings)}
    with world.engine() as engine:
        reports = {report.table: report for report in engine.tick().tables}
    return Outcomes(found, plans, reports)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_a_table_fails_in_check_exactly_where_its_run_stops(outcomes: Outcomes, situation: Situation) -> None:
    """With the same reason, and the same advice."""
    name = f"public.{situation.name}"
    report, failed = outcomes.run[name], outcomes.check.get(name, [])
    assert report.ok is situation.works, report
    assert [without_name(name, each.detail) for each in failed] == (
        [] if report.ok else [without_name(name, report.error or "")]
    )
    assert [each.fix for each in failed] == ([] if report.ok else [report.advice or ""])


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_a_plan_shows_the_same_error(outcomes: Outcomes, situation: Situation) -> None:
    """Except that DDL which only `apply` may send is what a plan is for."""
    name = f"public.{situation.name}"
    report = outcomes.run[name]
    expected = (None, None) if report.ok or situation.name == "manual" else (report.error, report.advice)
    assert outcomes.plan[name] == expected


LEDGER = {
    "all rights": ("grant all on all tables in schema public to {role}", True),
    "rows only": ("grant select, insert, update, delete on all tables in schema public to {role}", True),
    "what is used": (
        "grant select on pgsnow_migrations to {role}; grant select, update on pgsnow_ledger to {role};"
        " grant select, insert, update on sync_watermarks, sync_errors, sync_horizon, sync_chunks, sync_warehouses,"
        " sync_counters, sync_checks, sync_heartbeats, sync_slots to {role};"
        " grant select, insert, delete on sync_logs to {role};"
        " grant select, insert, update, delete on sync_backfills, sync_hours, sync_requests, sync_ticks, sync_alerts,"
        " sync_budget, sync_loaded_files, sync_alert_messages to {role}",
        True,
    ),
    "nothing": ("select", False),
    "no version": (
        "grant all on all tables in schema public to {role}; revoke all on pgsnow_migrations from {role}",
        False,
    ),
    "no updates": (
        "grant all on all tables in schema public to {role}; revoke update on sync_watermarks from {role}",
        False,
    ),
    "no log": (
        "grant all on all tables in schema public to {role}; revoke insert on sync_logs from {role}",
        False,
    ),
    "newer version": (
        "grant all on all tables in schema public to {role};"
        " insert into pgsnow_migrations (version, name) values (9999, 'later')",
        False,
    ),
    "log dropped": ("grant all on all tables in schema public to {role}; drop table sync_logs", False),
    "older version": (
        "grant all on all tables in schema public to {role};"
        " delete from pgsnow_migrations where version = (select max(version) from pgsnow_migrations)",
        False,
    ),
}


@pytest.mark.parametrize("rights", LEDGER)
def test_the_ledger_fails_in_check_exactly_where_runs_stop(memory_world: MemoryWorld, rights: str) -> None:
    """A role needs no right to create where nothing is to be created, and no right that no statement uses."""
    statements, works = LEDGER[rights]
    memory_world.sql("insert into users (id) values (1)")
    with reading_role(memory_world, ledger=True) as role:
        memory_world.sql(f"grant select on users to {role}")
        memory_world.sql(statements.format(role=role))
        assert ledger_passes(memory_world) is works
        assert runs(memory_world) is works


def ledger_passes(world: MemoryWorld) -> bool:
    try:
        return all(each.level is not Level.FAILED for each in check_ledger(world.settings.ledger, "public"))
    except PgsnowError:
        return False


def runs(world: MemoryWorld) -> bool:
    try:
        with world.engine() as engine:
            return not engine.tick().failures
    except PgsnowError:
        return False
