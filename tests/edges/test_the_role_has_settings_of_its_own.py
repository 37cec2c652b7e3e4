"""The role or the database has settings of its own.

Group: connections
Danger: `ALTER ROLE … SET` changes what every session of the role begins with: another form of dates, another path
of schemas, transactions that are read-only or serializable, a statement limit of a few milliseconds, another role,
a library that is loaded. Values would be read wrong, or nothing could be read or written.
Answer: Each transaction of pgsnow sets what it depends on, on the source, in the ledger, where rows are copied and
where the log is read. Nothing is to be done.
"""

from __future__ import annotations

from tests.edges.reader import reading_role
from tests.world import USERS_TABLE, MemoryWorld

SETTINGS = {
    "TimeZone": "Asia/Kolkata",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "xmloption": "document",
    "search_path": "nowhere",
    "quote_all_identifiers": "on",
    "client_encoding": "LATIN1",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "500ms",
    "lock_timeout": "500ms",
    "idle_in_transaction_session_timeout": "500ms",
    "row_security": "on",
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "off",
    "enable_seqscan": "off",
    "jit_above_cost": "0",
    "work_mem": "64kB",
    "track_activities": "off",
    "synchronous_commit": "off",
    "lc_messages": "C",
    "client_min_messages": "debug1",
}
SAMPLE = r"""
create table values (id int primary key, at timestamptz, day date, rate float8, small float4, raw bytea, span interval,
    list text[], words text, price numeric(12, 2), updated_at timestamptz not null default now());
insert into values select g, '2026-03-29 01:30Z'::timestamptz + g * interval '1 day', '2026-02-01'::date + g,
    0.1 + 0.2 * g, 3.4145, '\xdead', g * interval '1 month 1 day -2 hours', array['a', null, 'NULL'], 'ä€' || g, g * 1.5
    from generate_series(1, 40) g
"""


def test_every_way_of_reading_and_the_ledger(memory_world: MemoryWorld) -> None:
    """A role with about thirty unusual settings reads by watermark, by transaction id, as a whole and from the log, and
    keeps the ledger."""
    world = memory_world
    world.sql(SAMPLE)
    world.sql("create publication pgsnow_settings for table users, values")
    with reading_role(world, ledger=True) as role:
        world.sql(f"grant select on users, values to {role}; alter role {role} replication;"
                  f" grant pg_read_all_stats to {role}; grant create on schema public to {role};"
                  f" grant all on all tables in schema public to {role}; create schema nowhere;"
                  f" create table nowhere.users (id int)")  # fmt: skip
        for name, value in SETTINGS.items():
            world.sql(
                f"alter role {role} set {name} to " + ("nowhere" if name == "search_path" else f"'{value}'")
            )
        world.sql(f"create schema ledger authorization {role}")
        world.options = {"ledger_schema": "ledger", "log_publication": "pgsnow_settings"}
        world.tables = [
            {**USERS_TABLE, "mode": "log"},
            *({"source": "public.values", "target": f"analytics.{name}", "pk": "id", "name": name, **more}
              for name, more in {
                  "by_time": {"watermark_column": "updated_at"},
                  "by_xid": {"mode": "xmin"},
                  "whole": {"mode": "full"},
                  "from_log": {"mode": "log"},
              }.items()),
        ]  # fmt: skip
        try:
            for n in range(4):
                world.sql(f"insert into users (id, name, profile) values ({n}, 'ü{n}', '{{\"n\": 1e3}}')")
                world.sql(f"update values set rate = rate / 3, updated_at = now() where id = {n + 1}")
                with world.engine() as engine:
                    report = engine.tick()
                assert [table.error for table in report.tables if table.error] == []
                world.assert_equal()
            logged = world.sql("select count(*) from ledger.sync_watermarks where checkpoint ? 'log'")
            assert logged == [(2,)]
        finally:
            world.close_engine()
            world.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                      " where database = current_database()")  # fmt: skip
            world.sql("drop schema ledger cascade")
