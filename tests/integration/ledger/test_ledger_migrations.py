"""The ledger's tables: created once by concurrent processes, adopted if they exist, documented as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.migrate import migrations
from pgsnow.model.errors import LedgerAccessDenied
from tests.integration.ledger.crew import Dsn, PostgresCrew
from tests.progress import CEILING

DOCS = Path(__file__).parents[3] / "docs" / "ledger.md"
PLAN = """
create table sync_watermarks (
    source_table TEXT PRIMARY KEY, last_watermark TIMESTAMP, last_run TIMESTAMP, last_status TEXT, last_error TEXT,
    rows_processed INT
);
insert into sync_watermarks values ('public.users', '2026-01-01 00:00', null, 'idle', null, null);
"""
PROCESSES = 3
COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
order by c.relname, a.attnum
"""


@pytest.fixture
def public(database: str) -> Iterator[PostgresCrew]:
    """The schema that is there by default, without a ledger."""
    crew = PostgresCrew(database, "public")
    yield crew
    crew.close()


@pytest.fixture
def clerk(public: PostgresCrew) -> Iterator[str]:
    """DSN of a role that may use the ledger's tables and create none."""
    role = f"clerk_{public.dsn.split('/')[-1].split('?')[0][-8:]}"
    public.sql(f"create role {role} login")
    yield psycopg.conninfo.make_conninfo(public.dsn, user=role)
    public.sql(f"drop owned by {role}")
    public.sql(f"drop role {role}")


def test_several_processes_may_start_at_once(public: PostgresCrew) -> None:
    start = (
        "import sys; from pgsnow.ledger.ledger import Ledger;"
        "from tests.integration.ledger.crew import Dsn;"
        "print('ready', flush=True); sys.stdin.readline();"
        "ledger = Ledger(Dsn(sys.argv[1]), 'new');"
        "ledger.migrate(); ledger.leases.claim([sys.argv[2]], run_id='r', holder='h'); ledger.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, public.dsn, f"t{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=CEILING)
    assert [process.returncode for process in processes] == [0] * PROCESSES
    assert public.sql("select version from new.pgsnow_migrations order by 1") == [
        (migration.version,) for migration in migrations()
    ]
    assert public.sql("select count(*) from new.sync_watermarks") == [(PROCESSES,)]


def test_a_migrated_ledger_costs_one_query(public: PostgresCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    public.worker().migrate()
    sent: list[Any] = []
    execute = psycopg.Connection.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(query)
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", counting)
    public.worker().migrate()
    settings = [query for query in sent if "set_config" in str(query)]
    assert len(sent) - len(settings) == 1


def test_each_migration_may_run_twice_and_by_hand(public: PostgresCrew) -> None:
    for migration in migrations():
        for _ in range(2):
            public.sql(migration.text)
        ran = public.sql("select max(version), count(*) from pgsnow_migrations")
        assert ran == [(migration.version, migration.version)], migration.name
    public.worker().migrate()
    assert public.worker().run_log.watermarks() == []


@pytest.mark.parametrize("done", [1, len(migrations()) // 2, len(migrations()) - 1])
def test_a_ledger_of_any_version_is_brought_up_to_date(public: PostgresCrew, done: int) -> None:
    for migration in migrations()[:done]:
        public.sql(migration.text)
    public.worker().migrate()
    assert public.sql("select max(version) from pgsnow_migrations") == [(len(migrations()),)]
    assert public.worker().run_log.watermarks() == []


def test_migrations_are_numbered_without_gaps_and_each_statement_says_what_it_is_for() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))
    for migration in migrations():
        for block in migration.text.strip().split("\n\n"):
            assert block.startswith("-- "), block
        assert f"values ({migration.version}, '{migration.name}')" in migration.text


def test_a_table_made_by_hand_from_the_plan_is_adopted_with_its_rows(public: PostgresCrew) -> None:
    public.sql(PLAN)
    ledger = public.worker()
    ledger.migrate()
    [row] = ledger.run_log.watermarks()
    assert (row.source_table, row.last_status, row.rows_processed) == ("public.users", "idle", 0)
    assert row.last_watermark == "2026-01-01 00:00:00"
    [claim], _ = ledger.leases.claim(["public.users"], run_id="r", holder="h")
    assert claim.checkpoint is None


def test_without_the_right_to_create_a_ledger_that_is_there_works(public: PostgresCrew, clerk: str) -> None:
    public.worker().migrate()
    role = psycopg.conninfo.conninfo_to_dict(clerk)["user"]
    public.sql(f"grant select, insert, update, delete on all tables in schema public to {role}")
    ledger = Ledger(Dsn(clerk))
    ledger.migrate()
    [claim], _ = ledger.leases.claim(["t"], run_id="r", holder="h")
    ledger.leases.release([claim])
    ledger.close()


def test_without_the_right_to_create_a_missing_ledger_is_reported_with_what_to_grant(
    public: PostgresCrew, clerk: str
) -> None:
    for schema in ("public", "elsewhere"):
        with pytest.raises(LedgerAccessDenied, match="permission denied") as caught:
            Ledger(Dsn(clerk), schema).migrate()
        assert "Grant" in caught.value.advice
        assert caught.value.code == "42501"


def test_without_rights_on_the_tables_the_ledger_says_so(public: PostgresCrew, clerk: str) -> None:
    public.worker().migrate()
    with pytest.raises(LedgerAccessDenied):
        Ledger(Dsn(clerk)).migrate()


def test_an_unknown_role_is_refused_and_a_missing_database_named(public: PostgresCrew) -> None:
    for change in ({"user": "nobody_here"}, {"dbname": "nothing_here"}):
        dsn = psycopg.conninfo.make_conninfo(public.dsn, **change)
        with pytest.raises(LedgerAccessDenied, match="_here"):
            Ledger(Dsn(dsn)).migrate()


def test_a_ledger_that_was_never_made_is_reported_with_what_makes_it(public: PostgresCrew) -> None:
    with pytest.raises(LedgerAccessDenied) as caught:
        public.worker().run_log.watermarks()
    assert "first run" in caught.value.advice


def test_a_role_whose_transactions_are_read_only_by_default_writes_its_ledger(public: PostgresCrew) -> None:
    """The default is the session's to choose; only a standby cannot be written to."""
    public.worker().migrate()
    read_only = psycopg.conninfo.make_conninfo(public.dsn, options="-c default_transaction_read_only=on")
    claims, _ = Ledger(Dsn(read_only)).leases.claim(["t"], run_id="r", holder="h")
    assert [claim.table for claim in claims] == ["t"]


def test_a_newer_ledger_is_left_alone(public: PostgresCrew) -> None:
    public.worker().migrate()
    public.sql("insert into pgsnow_migrations (version, name) values (9999, 'from the future')")
    with pytest.raises(LedgerAccessDenied, match="9999") as caught:
        public.worker().migrate()
    assert "Upgrade pgsnow" in caught.value.advice


def test_every_column_is_explained_and_the_page_says_what_the_database_says(public: PostgresCrew) -> None:
    public.worker().migrate()
    tables: dict[str, list[tuple[str, str, str]]] = {}
    for table, column, type_name, comment in public.sql(COLUMNS):
        assert comment, f"{table}.{column} has no comment"
        tables.setdefault(table, []).append((column, type_name, comment))
    assert documented(DOCS.read_text(encoding="utf-8")) == tables


def test_every_table_is_explained(public: PostgresCrew) -> None:
    public.worker().migrate()
    text = DOCS.read_text(encoding="utf-8")
    for table, comment in public.sql(
        "select relname, obj_description(oid) from pg_class where relnamespace = 'public'::regnamespace and relkind='r'"
    ):
        assert f"## `{table}`\n\n{comment}\n" in text


def documented(text: str) -> dict[str, list[tuple[str, str, str]]]:
    """Table → (column, type, meaning) of each row of its section's table."""
    tables: dict[str, list[tuple[str, str, str]]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"`(\w+)`", section)
        rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.+) \|$", section, flags=re.MULTILINE)
        if name and rows:
            tables[name[1]] = rows
    return tables
