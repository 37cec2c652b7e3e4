"""The survey tells what the catalog knows, in a handful of statements, without reading or waiting for a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgsnow.model.discovery.survey import RowSecurity, SurveyedTable
from pgsnow.model.table import SourceName
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.catalog.profile import profile
from pgsnow.postgres.catalog.survey import survey
from tests.integration.postgres.lab import Lab


def surveyed(lab: Lab, conn: psycopg.Connection[Any] | None = None) -> dict[str, SurveyedTable]:
    return {str(table.name): table for table in survey(conn or lab.admin)}


def test_a_table_is_told_as_describe_tells_it(lab: Lab) -> None:
    """Columns through domains, keys, indexes and sequences: the description of one table and the survey agree, but for
    what only evolution needs."""
    lab.run(
        "create domain moment as timestamptz not null",
        "create domain later as moment",
        """create table "T 1" (id int generated always as identity, a serial, "B" later default now(), c numeric(9,3),
           d text unique, e int[], gone int, primary key (id), unique (a, d) include (c))""",
        'alter table "T 1" drop gone',
        'create index on "T 1" ("B", c)',
        'create unique index on "T 1" (lower(d))',
        'create unique index on "T 1" (c) where c > 0',
    )
    [found] = surveyed(lab).values()
    told = describe(lab.admin, SourceName("public", "T 1"))
    assert found.source.columns == tuple(replace(column, type_text="", element="") for column in told.columns)
    for part in ("name", "oid", "relkind", "unique_keys", "indexed_first", "sequence_cache"):
        assert getattr(found.source, part) == getattr(told, part), part
    assert found.has_primary_key
    assert found.facts_of("B").default_is_now


@pytest.mark.parametrize(
    ("default", "is_now"),
    [
        ("now()", True),
        ("current_timestamp", True),
        ("current_date", True),
        ("localtimestamp(0)", True),
        ("clock_timestamp()", True),
        ("timezone('utc', now())", True),
        ("(now() at time zone 'utc')", True),
        ("'2020-01-01'", False),
        ("null", False),
    ],
)
def test_defaults_that_are_the_clock(lab: Lab, default: str, is_now: bool) -> None:
    lab.run(f"create table t (at timestamp default {default})")
    assert surveyed(lab)["public.t"].facts_of("at").default_is_now is is_now


def test_triggers_that_set_a_column_at_every_update(lab: Lab) -> None:
    lab.run(
        """create function touch() returns trigger language plpgsql as
           $$ begin new.at := now(); return new; end $$""",
        *(f"create table t{n} (id int, at timestamptz)" for n in range(6)),
        "create trigger a before insert or update on t0 for each row execute function touch()",
        "create trigger a before insert on t1 for each row execute function touch()",
        "create trigger a after update on t2 for each row execute function touch()",
        "create trigger a before update of id on t3 for each row execute function touch()",
        "create trigger a before update on t4 for each row execute function touch()",
        "alter table t4 disable trigger a",
        "create trigger a before update on t5 for each row when (old.* is distinct from new.*)"
        " execute function touch()",
    )
    tables = surveyed(lab)
    assert [tables[f"public.t{n}"].facts_of("at").set_on_update for n in range(6)] == [
        True,
        False,
        False,
        False,
        False,
        True,
    ]


def test_partitions_stand_in_their_root_and_children_for_themselves(lab: Lab) -> None:
    lab.run(
        "create table p (id int, d int, primary key (id, d)) partition by range (d)",
        "create table p1 partition of p for values from (0) to (10)",
        "create table p2 partition of p for values from (10) to (20) partition by range (d)",
        "create table p21 partition of p2 for values from (10) to (15)",
        "insert into p select n, n % 15 from generate_series(1, 300) n",
        "create table base (id int primary key)",
        "create table child () inherits (base)",
        "analyze",
    )
    tables = surveyed(lab)
    assert set(tables) == {"public.p", "public.base", "public.child"}
    root = tables["public.p"]
    assert (root.source.relkind, root.partitions, root.source.estimated_rows) == ("p", 2, 300)
    assert root.source.total_bytes > 0
    assert (tables["public.base"].children, tables["public.child"].children) == (1, 0)


def test_statistics_tell_null_share_and_order_and_a_scan_tells_them_exactly(lab: Lab) -> None:
    lab.run("create table t (id int, at timestamptz)")
    lab.run("insert into t select n, case when n % 4 > 0 then now() + n * interval '1 s' end"
            " from generate_series(1, 1000) n")  # fmt: skip
    before = surveyed(lab)["public.t"]
    assert (before.source.estimated_rows, before.facts_of("at").null_share) == (-1, None)
    scanned = profile(lab.admin, before)
    assert (scanned.source.estimated_rows, scanned.facts_of("at").null_share) == (1000, 0.25)
    assert (scanned.facts_of("at").distinct, scanned.facts_of("id").ascending) == (750, 1)
    lab.run("analyze t")
    after = surveyed(lab)["public.t"]
    assert after.source.estimated_rows == 1000
    assert after.facts_of("at").null_share == pytest.approx(0.25)
    assert after.facts_of("at").ascending == pytest.approx(1)


def test_what_a_role_may_not_read_is_said_and_nothing_raised(lab: Lab, plain_role: str) -> None:
    lab.run(
        "create schema closed",
        "create table closed.t (id int)",
        "create table denied (id int)",
        "create table hidden (id int)",
        "create table open (id int)",
        "alter table hidden enable row level security",
        f"grant select on hidden, open to {plain_role}",
    )
    tables = surveyed(lab, lab.session(user=plain_role))
    assert not tables["closed.t"].may_use_schema
    assert not tables["public.denied"].may_select
    assert tables["public.hidden"].rows_hidden
    assert tables["public.hidden"].row_security is RowSecurity.ON
    assert tables["public.open"].may_select
    assert not surveyed(lab)["public.hidden"].rows_hidden, "a superuser sees every row"
    assert tables["public.open"].role == plain_role


def test_the_systems_and_temporary_tables_are_left_out(lab: Lab) -> None:
    lab.run("create temporary table here (id int)", "create view v as select * from pg_class")
    assert set(surveyed(lab)) == {"public.v"}


def test_a_thousand_tables_take_as_many_statements_as_one(lab: Lab) -> None:
    lab.run("create table t (id serial primary key, at timestamptz)")
    one = statements(lab)
    lab.run("""do $$ begin for n in 1..1000 loop
        execute format('create table t%s (id serial primary key, at timestamptz default now())', n);
        end loop; end $$""")
    assert len(surveyed(lab)) == 1001
    assert statements(lab) == one


def statements(lab: Lab) -> int:
    """Statements that one survey sends."""
    sent = []

    class Counting(psycopg.Cursor[Any]):
        def execute(self, *args: Any, **options: Any) -> Counting:
            sent.append(args[0])
            super().execute(*args, **options)
            return self

    with psycopg.connect(lab.dsn, autocommit=True, cursor_factory=Counting) as conn:
        survey(conn)
    return len(sent)


def test_a_table_that_is_being_altered_holds_nothing_up(lab: Lab) -> None:
    lab.run("create table t (id serial primary key, at timestamptz default now())")
    other = lab.session()
    other.execute("lock table t in access exclusive mode")
    with psycopg.connect(lab.dsn, autocommit=True) as conn:
        conn.execute("set lock_timeout = '1s'")
        assert set(surveyed(lab, conn)) == {"public.t"}
    other.rollback()
