"""The server ends a session or a transaction of pgsnow.

Group: connections
Danger: Timeouts of the role or the database, an administrator, or a standby that replays changes cut a read off, and
the table never gets to its end; or defaults such as read-only or serializable transactions make every statement fail.
Answer: pgsnow sets what a session may set for each of its transactions, replaces a session that ended while it was
idle, and ends its snapshot before the last rows are loaded. Where only the server's owner can help, the error names the
setting, such as hot_standby_feedback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import LedgerAccessDenied, SourceUnavailable
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.runtime.events import Event
from tests.integration.postgres.lab import Lab, lab_in
from tests.integration.postgres.servers import primary_and_standby
from tests.progress import wait_until
from tests.world import NO_SNOWFLAKE, MemoryWorld

ROLE_SETTINGS = (
    "statement_timeout to '9s'",
    "idle_in_transaction_session_timeout to '9s'",
    "transaction_timeout to '9s'",
    "default_transaction_isolation to serializable",
    "default_transaction_deferrable to on",
    "default_transaction_read_only to on",
    "datestyle to 'SQL, DMY'",
    "timezone to 'Asia/Tokyo'",
    "intervalstyle to iso_8601",
    "bytea_output to escape",
    "extra_float_digits to -15",
)
NO_LIMIT = """
current_setting('statement_timeout') = '0' and current_setting('idle_in_transaction_session_timeout') = '0'
and coalesce(current_setting('transaction_timeout', true), '0') = '0'
and current_setting('transaction_isolation') <> 'serializable'
"""
"""A condition of a table that no row fulfils in a transaction with a time limit."""
EVERYONE = {"public.users": "select * from public.users"}


def test_settings_of_the_role_end_no_read_and_change_no_value(memory_world: MemoryWorld) -> None:
    """ALTER ROLE sets timeouts, formats, and serializable, read-only, deferrable transactions."""
    for setting in ROLE_SETTINGS:
        if memory_world.source.info.server_version >= 170_000 or "transaction_timeout to" not in setting:
            memory_world.sql(
                f"alter role postgres in database {memory_world.source.info.dbname} set {setting}"
            )
    memory_world.sql("insert into users values (1, 'Ann', 1.50, '{}')")
    memory_world.tables[0]["where"] = NO_LIMIT
    for change in ("select", "update users set name = 'Bea', updated_at = now()"):
        memory_world.sql(change)
        with memory_world.engine() as engine:
            assert [table.error for table in engine.tick().tables] == [None]
    memory_world.assert_equal(expected=EVERYONE)


class Ends:
    """Ends every idle session of pgsnow at one phase of a run, as idle_session_timeout or an administrator does."""

    def __init__(self, world: MemoryWorld, phase: str) -> None:
        self.world, self.phase, self.ended = world, phase, 0

    def __call__(self, event: Event) -> None:
        if event.phase != self.phase:
            return
        pids = [
            pid
            for (pid, _) in self.world.sql(
                "select pid, pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and state = 'idle' and application_name like 'pgsnow%'"
            )
        ]
        self.ended += len(pids)
        left = f"select pid from pg_stat_activity where pid = any('{{{','.join(map(str, pids))}}}')"
        wait_until(lambda: not self.world.sql(left), "the sessions have ended")


@pytest.mark.parametrize("late_rows", ["lossless", "off"])
@pytest.mark.parametrize("phase", ["written", "merged"])
def test_sessions_that_end_while_they_are_idle_are_replaced(
    memory_world: MemoryWorld, phase: str, late_rows: str
) -> None:
    """In the middle of a run, when rows are read, rejected and loaded; the next step opens what it needs."""
    memory_world.tables[0] |= {"late_rows": late_rows, "batch_size": 2, "max_rows_per_load": 2}
    memory_world.tables[0]["transform"] = {"cast": {"name": "integer"}}
    memory_world.sql(
        "insert into users select g, case g when 3 then 'x' else g::text end from generate_series(1, 6) g"
    )
    for change in ("select", "update users set balance = 1, updated_at = now()"):
        memory_world.sql(change)
        ends = Ends(memory_world, phase)
        with memory_world.engine(ends) as engine:
            report = engine.tick()
        assert [table.error for table in report.tables] == [None]
    assert len(memory_world.target().rows) == 5


def test_the_snapshot_ends_before_the_last_rows_are_loaded(memory_world: MemoryWorld) -> None:
    """A load may take minutes, in which a snapshot would hold back vacuum, or a standby's replay."""
    open_at: dict[str, int] = {}

    def note(event: Event) -> None:
        open_at[event.phase] = memory_world.sql(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and state like 'idle in transaction%' or backend_xmin is not null and pid <> pg_backend_pid()"
        )[0][0]

    memory_world.sql("insert into users select g from generate_series(1, 6) g")
    with memory_world.engine(note) as engine:
        assert [table.error for table in engine.tick().tables] == [None]
    loading = {phase: count for phase, count in open_at.items() if phase not in ("started", "read", "page")}
    assert loading
    assert set(loading.values()) == {0}


@pytest.fixture(scope="module")
def pair(servers_dir: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary, and a standby that soon cancels whatever holds its replay back."""
    with primary_and_standby(servers_dir / "ended", max_standby_streaming_delay="2s") as servers:
        with psycopg.connect(servers[0].dsn(), autocommit=True) as owner:
            owner.execute("create role strict login superuser")
            owner.execute("alter role strict set default_transaction_isolation to serializable")
        yield servers


@pytest.fixture
def primary(pair: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> Iterator[Lab]:
    """The primary, with a table of which rows were deleted: a vacuum removes what a standby's snapshot still sees."""
    with lab_in(pair[0].dsn()) as lab:
        lab.run(
            "drop table if exists t",
            "create table t (id bigint primary key, v text, updated_at timestamptz not null default now())",
            "insert into t select g from generate_series(1, 1000) g",
        )
        replayed(lab, pair[1])
        yield lab


def replayed(primary: Lab, standby: EmbeddedPostgres) -> None:
    """Wait until the standby shows what the primary has written."""
    written = primary.one("select pg_current_wal_insert_lsn()::text")
    with psycopg.connect(standby.dsn(), autocommit=True) as conn:
        done = f"select pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        wait_until(lambda: conn.execute(done.encode()).fetchall() == [(True,)], "the standby has caught up")


def remove_old_rows(primary: Lab, standby: EmbeddedPostgres) -> None:
    """Ends every snapshot on the standby that is older."""
    primary.run("delete from t where id > 500", "vacuum t")
    replayed(primary, standby)


def test_a_standby_that_cancels_a_read_is_named_with_its_settings(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres], primary: Lab
) -> None:
    """Only the standby's owner can help: by hot_standby_feedback, or by a delay."""
    source = Source(Settings.from_env({"POSTGRES_DSN": pair[1].dsn(), **NO_SNOWFLAKE}).source)
    with (
        pytest.raises(SourceUnavailable) as caught,
        source.copy_connection() as connection,
        open_snapshot(connection, primary.plan()) as snap,
    ):
        remove_old_rows(primary, pair[1])
        snap.fetch(SQL("select count(*) from t"))
    source.close()
    assert (caught.value.code, caught.value.transient) == ("40001", True)
    assert "hot_standby_feedback" in caught.value.advice


def test_a_standby_cannot_cancel_a_run_whose_rows_are_all_read(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres], primary: Lab, tmp_path: Path
) -> None:
    """The primary removes old row versions while the rows are being loaded. Transactions are serializable by default,
    which a standby refuses."""
    world = MemoryWorld(pair[0].dsn(), tmp_path)
    standby = make_conninfo(pair[1].dsn(), user="strict")
    world.settings = Settings.from_env({"POSTGRES_DSN": standby, "LEDGER_DSN": pair[0].dsn(), **NO_SNOWFLAKE})
    world.tables = [{"source": "public.t", "target": "a.t", "pk": "id", "watermark_column": "updated_at"}]

    def act(event: Event) -> None:
        if event.phase == "written":
            remove_old_rows(primary, pair[1])

    with world.engine(act) as engine:
        report = engine.tick()
    assert [table.error for table in report.tables] == [None]
    assert len(world.target("a.t").rows) == 1000
    world.close()


def test_a_ledger_on_a_standby_is_refused_with_what_to_do(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres], primary: Lab
) -> None:
    """A standby cannot be written to, whatever a session sets."""
    Ledger(Settings.from_env({"POSTGRES_DSN": pair[0].dsn(), **NO_SNOWFLAKE}).ledger).migrate()
    replayed(primary, pair[1])
    there = Settings.from_env({"POSTGRES_DSN": pair[1].dsn(), **NO_SNOWFLAKE})
    with pytest.raises(LedgerAccessDenied) as caught:
        Ledger(there.ledger).leases.claim(["t"], run_id="r", holder="h")
    assert (caught.value.code, caught.value.transient) == ("25006", False)
    assert "LEDGER_DSN" in caught.value.advice
