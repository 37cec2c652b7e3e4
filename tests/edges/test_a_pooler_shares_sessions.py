"""A pooler shares server sessions between pgsnow and the application.

Group: connections
Danger: Settings and locks of pgsnow would stay on sessions that the application uses next: its queries would fail
with "query would be affected by row-level security policy", or time out. Settings of the application would change
what pgsnow reads.
Answer: Every setting of pgsnow is local to one transaction, on the source and in the ledger, and replaces what another
client left in the session. Behind a pooler the ledger keeps no lock in a session, so a worker that dies keeps its
tables until its lease ends; `pgsnow check` says so.
"""

from __future__ import annotations

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import SourceUnavailable
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.source import check_copy, check_source
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from pgsnow.operations.verify.source_rows import expected_rows
from pgsnow.postgres.catalog.privileges import access
from pgsnow.postgres.connection import Source
from tests.pooler import Pooler
from tests.progress import wait_until
from tests.world import NO_SNOWFLAKE, USERS_TABLE, MemoryWorld

LEFT_BY_OTHERS = """
set timezone to 'Asia/Tokyo'; set datestyle to 'SQL, DMY'; set intervalstyle to sql_standard;
set extra_float_digits to -15; set bytea_output to escape; set search_path to nowhere; set statement_timeout to '9s';
set idle_in_transaction_session_timeout to '9s'; set row_security to on; set standard_conforming_strings to off;
set lc_monetary to 'POSIX'; set quote_all_identifiers to on;
set session characteristics as transaction isolation level serializable, read only, deferrable
"""
NEEDED = """
current_setting('TimeZone') = 'UTC' and current_setting('row_security') = 'off' and not pg_is_in_recovery()
and current_setting('statement_timeout') = '0' and current_setting('idle_in_transaction_session_timeout') = '0'
and coalesce(current_setting('transaction_timeout', true), '0') = '0' and current_setting('search_path') <> 'nowhere'
and current_setting('transaction_read_only')::bool and current_setting('transaction_isolation') <> 'serializable'
and current_setting('lc_monetary') <> 'POSIX' and not current_setting('quote_all_identifiers')::bool
and current_setting('standard_conforming_strings')::bool and current_setting('lock_timeout') <> '0'
"""
"""A condition that holds in each transaction that reads the source; where one does not have what it needs, it finds no
row."""
ALL_RATES = {"public.rates": "select * from public.rates"}


@pytest.fixture
def pooled(memory_world: MemoryWorld, pooler: Pooler) -> MemoryWorld:
    """A world whose source and ledger are behind a pooler. `world.env` still leads past it."""
    env = {"POSTGRES_DSN": pooler.dsn(memory_world.env["POSTGRES_DSN"]), **NO_SNOWFLAKE}
    memory_world.settings = Settings.from_env(env)
    return memory_world


def make_tables(world: MemoryWorld) -> None:
    """Users, a table that is read as a whole, and one that is read in chunks; all with values whose text depends on a
    session's settings."""
    world.sql(
        "insert into users select g, 'u' || g, g * 1.5, jsonb_build_object('g', g) from generate_series(1, 40) g"
    )
    world.sql(
        r"create table rates (id int primary key, at timestamptz, day date, rate float8, raw bytea, span interval,"
        r" note text); insert into rates select g, '2026-03-29 01:30Z'::timestamptz + g * interval '1 day',"
        r" '2026-02-01'::date + g, 0.1 + 0.2 * g, '\xdead', g * interval '1 month 1 day', 'a\b'"
        r" from generate_series(1, 40) g"
    )
    world.sql("create table large as select g as id, repeat('x', 900) as v, now() as updated_at"
              " from generate_series(1, 3000) g; alter table large add primary key (id)")  # fmt: skip
    world.tables = [
        dict(USERS_TABLE),
        {"source": "public.rates", "target": "analytics.rates", "pk": "id", "mode": "full",
         "where": r"note = 'a\b' and" + NEEDED},
        {"source": "public.large", "target": "analytics.large", "pk": "id", "watermark_column": "updated_at",
         "max_mb_per_chunk": 1, "audit_every": "1s"},
    ]  # fmt: skip


def run(world: MemoryWorld) -> None:
    """One tick, in which no table fails."""
    with world.engine() as engine:
        report = engine.tick()
    assert {table.table: table.error for table in report.tables if table.error} == {}


def change(world: MemoryWorld) -> None:
    """Changes that each way of reading must find."""
    world.sql("update users set name = 'changed', updated_at = now() where id <= 5")
    world.sql("update rates set rate = rate + 1 where id = 1")
    world.sql("update large set v = 'changed', updated_at = now() where id <= 5")


def ask_everything(world: MemoryWorld) -> None:
    """Every command that asks the source something and writes nothing."""
    source = Source(world.settings.source)
    with source.connect() as conn:
        check_source(conn, "here")
        check_copy(source)
        for table in world.config.tables:
            _, ready = check_table(conn, table, world.settings.snowflake)
            assert ready is not None
            access(conn, {table.source: table.watermark_column})
            pages, _ = expected_rows(source, conn, ready.prepared, {})
            assert sum(len(page) for page in pages(1000)) > 0
    source.close()
    assert len(discover(world.settings.source, Choice(), scan=True)) == len(world.tables)


def test_nothing_of_pgsnow_stays_in_the_sessions_of_others(pooled: MemoryWorld, pooler: Pooler) -> None:
    """First loads, chunks, changes, idle ticks, audits and every command leave the application's sessions alone."""
    direct = pooled.env["POSTGRES_DSN"]
    make_tables(pooled)
    with pooler.sessions(direct):
        pass  # every session is there before the first tick
    run(pooled)
    change(pooled)
    run(pooled)
    run(pooled)
    ask_everything(pooled)
    check_ledger(pooled.settings.ledger, "public")
    assert pooler.left_behind(direct) == []
    pooled.assert_equal(expected=ALL_RATES)


def test_an_application_under_row_level_security_goes_on_working(pooled: MemoryWorld, pooler: Pooler) -> None:
    """A role under a policy asks through the sessions that pgsnow has used."""
    pooled.sql("insert into users values (1, 'Ann')")
    run(pooled)
    pooled.sql("create table secrets (id int); alter table secrets enable row level security;"
               " alter table secrets force row level security; grant select on secrets to public")  # fmt: skip
    with pooler.sessions(pooled.env["POSTGRES_DSN"]) as clients:
        for client in clients:
            client.execute("set local role pg_monitor")
            assert client.execute("select count(*) from secrets").fetchall() == [(0,)]


def test_settings_that_others_left_in_a_session_change_nothing(pooled: MemoryWorld, pooler: Pooler) -> None:
    """An application leaves its own settings behind: time zone, formats, timeouts, isolation, search path."""
    make_tables(pooled)
    with pooler.sessions(pooled.env["POSTGRES_DSN"]) as clients:
        for client in clients:
            client.execute(LEFT_BY_OTHERS)
            client.commit()
    run(pooled)
    change(pooled)
    run(pooled)
    ask_everything(pooled)
    pooled.assert_equal(expected=ALL_RATES)


def test_workers_share_a_ledger_behind_a_pooler(pooled: MemoryWorld, pooler: Pooler) -> None:
    """A table that one worker has is refused to the other, and free again as soon as it is released or expires."""
    direct = pooled.env["POSTGRES_DSN"]
    ann, bob = Ledger(pooled.settings.ledger), Ledger(pooled.settings.ledger)
    claims, _ = ann.leases.claim(["users"], run_id="r", holder="ann")
    _, refusals = bob.leases.claim(["users"], run_id="s", holder="bob")
    assert [refusal.holder for refusal in refusals] == ["ann"]
    ann.leases.renew(claims)
    assert pooler.left_behind(direct) == []
    ann.leases.release(claims)
    assert bob.leases.claim(["users"], run_id="s", holder="bob")[0]
    pooled.sql("update sync_watermarks set lease_expires = clock_timestamp()")
    assert ann.leases.claim(["users"], run_id="t", holder="ann")[0]
    ann.close()
    bob.close()
    other = Ledger(pooled.settings.ledger, "another")
    other.migrate()
    other.close()
    assert pooler.left_behind(direct) == []


def test_a_worker_with_a_session_of_its_own_is_respected_through_a_pooler(
    pooled: MemoryWorld, pooler: Pooler
) -> None:
    """One worker reaches the ledger directly, another through a pooler; the second sees whether the first is alive."""
    alone = Settings.from_env({"POSTGRES_DSN": pooled.env["POSTGRES_DSN"], **NO_SNOWFLAKE})
    ann, bob = Ledger(alone.ledger), Ledger(pooled.settings.ledger)
    ann.leases.claim(["users"], run_id="r", holder="ann")
    assert bob.leases.claim(["users"], run_id="s", holder="bob")[0] == []
    ann._session.close()  # as if its process had been killed
    wait_until(lambda: bob.leases.claim(["users"], run_id="s", holder="bob")[0], "the session has ended")
    bob.close()
    assert pooler.left_behind(pooled.env["POSTGRES_DSN"]) == []


def test_check_says_what_a_pooler_before_the_ledger_means(pooled: MemoryWorld) -> None:
    """It works, so it is no failure; but the tables of a worker that dies are free later."""
    found = [result for result in check_ledger(pooled.settings.ledger, "public") if "sessions" in result.name]
    assert [result.level for result in found] == [Level.WARNING]
    assert "lease" in found[0].detail


def test_what_a_pooler_refuses_is_explained(pooled: MemoryWorld, pooler: Pooler) -> None:
    """pgbouncer takes no `options` in the connection string; its error names no remedy."""
    dsn = pooler.dsn(pooled.env["POSTGRES_DSN"], options="-c work_mem=8MB")
    settings = Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE})
    with pytest.raises(SourceUnavailable) as caught:
        Source(settings.source).connect()
    assert "options" in caught.value.advice


def test_a_session_with_unusual_strings_is_read_right(memory_world: MemoryWorld) -> None:
    """`standard_conforming_strings = off` takes a statement apart in another way before it is run."""
    make_tables(memory_world)
    memory_world.sql("alter role postgres set standard_conforming_strings to off")
    try:
        run(memory_world)
        ask_everything(memory_world)
    finally:
        memory_world.sql("alter role postgres reset standard_conforming_strings")
    memory_world.assert_equal(expected=ALL_RATES)
