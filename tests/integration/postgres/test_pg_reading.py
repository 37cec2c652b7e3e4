"""How a read behaves: pages, early ends, lost servers, cached connections, other processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.errors import ColumnMissing, SourceAccessDenied, SourceQueryFailed, SourceUnavailable
from pgsnow.postgres import copy_connections as arrow
from pgsnow.postgres.incremental.probe import probe
from pgsnow.postgres.read.by_key import payloads, read_keys
from pgsnow.postgres.read.reader import open_reader
from tests.integration.postgres.lab import Follower, Lab, lab_in
from tests.integration.postgres.servers import CONFIG
from tests.progress import wait_until
from tests.servers import own_database

TABLE = "create table t (id int primary key, v text, updated_at timestamptz default now())"
ROWS = 200_000
MANY = f"insert into t (id, v) select g, repeat('y', 200) from generate_series(1, {ROWS}) g"


@contextmanager
def own_server(directory: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(directory, config=CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
def many(postgres: EmbeddedPostgres) -> Iterator[Lab]:
    """A table t of more rows than fit between a server and its client; every test reads it, none changes it."""
    with own_database(postgres) as dsn, lab_in(dsn) as lab:
        lab.run(TABLE, "create index on t (updated_at, id)", MANY)
        yield lab


def rows_read(follower: Follower) -> int:
    """How many rows the next read gets."""
    with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
        return sum(page.rows.num_rows for page in reading.pages())


class TestLeavingEarly:
    def test_the_query_is_cancelled_and_its_thread_has_ended(self, many: Lab) -> None:
        follower = many.follow()
        with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
            next(reading.pages())
        assert "pgsnow-fetch" not in {thread.name for thread in threading.enumerate()}
        busy = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        # The server takes a moment to see that a session was closed.
        wait_until(lambda: many.one(f"{busy} and state <> 'idle'") == 0, "every session is idle")
        assert rows_read(follower) == ROWS

    def test_even_when_the_pages_are_still_in_somebodys_hands(self, many: Lab) -> None:
        follower = many.follow()
        with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
            pages = reading.pages()
            next(pages)
        assert next(pages, None) is None

    def test_an_error_of_the_consumer_ends_it_too(self, many: Lab) -> None:
        follower = many.follow()
        with (
            pytest.raises(ZeroDivisionError),
            open_reader(follower.source, follower.plan, None, follower.horizon()) as reading,
        ):
            for _ in reading.pages():
                raise ZeroDivisionError
        assert rows_read(follower) == ROWS

    def test_there_is_no_checkpoint_before_the_last_page(self, many: Lab) -> None:
        follower = many.follow()
        with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
            next(reading.pages())
            assert not reading.resumable
            with pytest.raises(RuntimeError):
                reading.checkpoint()


class TestLosingTheServer:
    def test_killed_while_rows_flow_and_restarted_between_two_reads(self, servers_dir: Path) -> None:
        """A read of a killed server fails as unavailable; once it is back, the next one misses nothing. Of a restart
        between two reads, after which the cached connection is dead, nobody notices."""
        with own_server(servers_dir / "lost") as server, lab_in(server.dsn()) as lab:
            lab.run("set synchronous_commit to on", TABLE, MANY)
            follower = lab.follow()
            with (
                pytest.raises(SourceUnavailable) as caught,
                open_reader(follower.source, follower.plan, None, follower.horizon()) as reading,
            ):
                for _ in reading.pages():
                    server.kill()
            assert caught.value.transient
            with pytest.raises(SourceUnavailable):
                follower.tick()
            server.start()
            assert rows_read(follower) == ROWS
            with lab_in(server.dsn()) as again:
                again.run("create table few (id int primary key, updated_at timestamptz default now())")
                follower = again.follow("public.few")
                follower.tick()
                again.admin.close()
                server.stop()
                server.start()
                with lab_in(server.dsn()) as last:
                    last.run("insert into few values (1)")
                    assert follower.tick() == [1]

    def test_a_session_that_an_administrator_ends(self, many: Lab) -> None:
        follower = many.follow()
        with (
            pytest.raises(SourceUnavailable),
            open_reader(follower.source, follower.plan, None, follower.horizon()) as reading,
        ):
            for _ in reading.pages():
                many.run(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgsnow-read'"
                    " and datname = current_database()"
                )
        assert rows_read(follower) == ROWS

    def test_a_statement_that_fails_halfway_is_no_lost_connection(self, many: Lab) -> None:
        follower = many.follow(where="1 / (id - 150000) is not null")
        with (
            pytest.raises(SourceQueryFailed) as caught,
            open_reader(follower.source, follower.plan, None, follower.horizon()) as reading,
        ):
            list(reading.pages())
        assert not caught.value.transient

    def test_a_column_that_went_away_since_the_plan(self, table: Lab) -> None:
        follower = table.follow()
        table.run("alter table t drop column v")
        with pytest.raises(ColumnMissing):
            follower.tick()

    def test_a_column_that_is_of_another_type_since_the_plan(self, table: Lab) -> None:
        table.run("insert into t values (1, 'a')")
        follower = table.follow()
        table.run("alter table t alter v type int using 1")
        with pytest.raises(SourceQueryFailed, match="column v"):
            follower.tick()
        follower.plan = table.plan()
        assert follower.tick() == [1]

    def test_rows_that_a_policy_hides_are_an_error_not_a_loss(self, table: Lab, plain_role: str) -> None:
        table.run(
            "insert into t (id) values (1)", f"grant select on t to {plain_role}",
            "alter table t enable row level security", "create policy none on t using (false)",
        )  # fmt: skip
        follower = table.follow(user=plain_role)
        with pytest.raises(SourceAccessDenied):
            follower.tick()


class TestConnections:
    def connections(self, lab: Lab) -> set[int]:
        """The one that stays. The server takes a moment to see that a session was closed."""
        wait_until(lambda: len(self.listed(lab)) <= 1, lambda: f"one session of {self.listed(lab)}")
        return self.listed(lab)

    def listed(self, lab: Lab) -> set[int]:
        rows = lab.admin.execute(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and application_name like 'pgsnow%'"
        ).fetchall()
        return {pid for (pid,) in rows}

    def test_one_is_used_again_and_again(self, table: Lab) -> None:
        follower = table.follow()
        follower.tick(full=True)
        first = self.connections(table)
        follower.tick(full=True)
        assert self.connections(table) == first
        assert len(first) == 1

    def test_an_old_one_is_not(self, table: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        follower = table.follow()
        follower.tick(full=True)
        first = self.connections(table)
        monkeypatch.setattr(arrow, "MAX_AGE", 0.0)
        follower.tick(full=True)
        assert self.connections(table).isdisjoint(first)

    def test_a_forked_child_opens_its_own_and_leaves_its_parents_alone(self, table: Lab) -> None:
        table.run("insert into t (id) values (1)")
        follower = table.follow()
        follower.tick()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if follower.tick(full=True) == [1] else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert follower.tick(full=True) == [1]
        assert len(self.connections(table)) == 1

    def test_two_reads_at_once_have_one_each(self, table: Lab) -> None:
        table.run("insert into t (id) values (1)")
        follower = table.follow()
        horizon = follower.horizon()
        with (
            open_reader(follower.source, follower.plan, None, horizon) as one,
            open_reader(follower.source, follower.plan, None, horizon) as other,
        ):
            assert [len(list(reading.pages())) for reading in (one, other)] == [1, 1]

    def test_the_password_is_in_no_repr(self, table: Lab) -> None:
        from pgsnow.postgres.connection import Source
        from tests.integration.postgres.lab import Dsn

        source = Source(Dsn(table.dsn.replace("postgres@", "postgres:hushhush@")))
        with source.copy_connection() as connection, source.connect() as conn:
            assert "hushhush" not in "".join(map(repr, (source, connection, conn, vars(connection))))
        source.close()


class TestWhatIsRead:
    def test_where_decides_over_both_reads_and_probes(self, table: Lab) -> None:
        table.run("insert into t (id, v) values (1, '100%'), (2, '{}')")
        follower = table.follow(where="v like '%\\%' -- only percents")
        assert follower.tick() == [1]
        table.run("insert into t (id, v) values (3, 'x'), (4, '5%')")
        assert follower.tick() == [4]
        table.run("insert into t (id, v) values (5, 'x')")
        assert follower.tick() == []

    def test_names_that_need_quotes(self, lab: Lab) -> None:
        lab.run(
            'create schema "We ird"',
            'create table "We ird"."T""x" ("I d" int primary key, "sel%ect" text, "{when}" timestamptz default now())',
            """insert into "We ird"."T""x" values (1, 'a')""",
        )
        follower = lab.follow('"We ird"."T""x"', pk=["I d"], watermark_column="{when}")
        assert follower.tick() == [1]
        assert follower.copy[1]["sel%ect"] == "a"
        lab.run("""update "We ird"."T""x" set "{when}" = now()""")
        assert follower.tick() == [1]
        assert payloads(lab.admin, follower.plan, [{"I d": "1"}])[0]
        assert [page.rows.num_rows for page in read_keys(lab.source, follower.plan, [{"I d": "1"}])] == [1]

    def test_all_partitions_of_a_partitioned_table(self, lab: Lab) -> None:
        lab.run(
            "create table t (id int, updated_at timestamptz not null default now(), primary key (id))"
            " partition by range (id)",
            "create table t1 partition of t for values from (0) to (10)",
            "create table t2 partition of t for values from (10) to (20)",
            "insert into t values (1), (11)",
        )
        follower = lab.follow()
        assert sorted(follower.tick()) == [1, 11]
        lab.run("update t set updated_at = now() where id = 11")
        assert follower.tick() == [11]

    @pytest.mark.parametrize("late_rows", ["lossless", "lookback", "off"])
    def test_a_leaf_that_was_attached_is_read_as_a_whole(self, lab: Lab, late_rows: str) -> None:
        """Its rows were written before, some of them not for us; what changed elsewhere comes as ever."""
        lab.run(
            "create table t (id int primary key, updated_at timestamptz not null) partition by range (id)",
            "create table t1 partition of t for values from (0) to (10)",
            "create table t2 (id int primary key, updated_at timestamptz not null)",
            "insert into t2 values (11, '2020-01-01'), (12, now()), (13, now())",
            "insert into t values (1, now()), (2, now())",
        )
        follower = lab.follow(late_rows=late_rows, lookback=0, where="id <> 13")
        assert follower.tick() == [1, 2]
        lab.run(
            "alter table t attach partition t2 for values from (10) to (20)",
            "update t set updated_at = now() where id = 1",
        )
        leaf = lab.one("select 't2'::regclass::oid::int")
        before = follower.checkpoint
        horizon = follower.horizon()
        with open_reader(lab.source, lab.plan(late_rows=late_rows, lookback=0, where="id <> 13"), before, horizon,
                     whole_leaves=(leaf,)) as reading:  # fmt: skip
            assert reading.full_read is None
            found = [key for page in reading.pages() for key in page.rows.column("id").to_pylist()]
            follower.checkpoint = reading.checkpoint()
        assert set(found) >= {1, 11, 12}
        assert 13 not in found
        lab.run("update t set updated_at = now() where id = 11")
        assert 11 in follower.tick()

    def test_keys_are_read_again_in_pages_and_missing_ones_do_not_come(self, table: Lab) -> None:
        table.run("insert into t (id) select generate_series(1, 1200)")
        plan = table.plan(max_rows_per_load=100)
        keys = [{"id": str(key)} for key in range(1, 1300)]
        pages = list(read_keys(table.source, plan, keys))
        assert max(page.rows.num_rows for page in pages) <= 100
        found = sorted(key for page in pages for key in page.rows.column("id").to_pylist())
        assert found == list(range(1, 1201))
        shown = payloads(table.admin, plan, keys)
        assert [row and row["id"] for row in shown] == [*range(1, 1201), *([None] * 99)]

    def test_payloads_keep_every_digit_and_cut_what_is_long(self, lab: Lab) -> None:
        lab.run(
            "create table t (id int primary key, n numeric, v text, updated_at timestamptz default now())",
            "insert into t values (1, 0.12345678901234567890, repeat('x', 20000))",
        )
        (row,) = payloads(lab.admin, lab.plan(), [{"id": "1"}])
        assert row is not None
        assert row["n"] == "0.12345678901234567890"
        assert row["v"].endswith("… (20000 characters)")
        assert len(row["v"]) < 11_000


class TestProbes:
    def test_a_probe_of_a_large_table_uses_the_watermarks_index(self, table: Lab) -> None:
        """Nullable or not: an idle table costs a look into an index, whatever its size."""
        table.run(
            "insert into t (id, updated_at)"
            " select n, now() - n * interval '1 s' from generate_series(1, 100000) n",
            "vacuum analyze t",
        )
        follower = table.follow()
        follower.tick()
        statements: list[str] = []
        for nullable in (False, True):
            if nullable:
                table.run("alter table t alter updated_at drop not null")
            with table.source.connect() as conn:
                probe(conn, table.plan(), follower.checkpoint, follower.horizon())
                ((statement,),) = table.admin.execute(
                    "select query from pg_stat_activity where pid = %s", [conn.info.backend_pid]
                ).fetchall()
            _, _, statement = statement.partition(
                ";\n"
            )  # settings that are local to its transaction stand before it
            statements.append(statement)
            lines = table.admin.execute(f"explain {statement}".encode()).fetchall()
            explained = "\n".join(line for (line,) in lines)
            assert "Index" in explained
            assert "Seq Scan" not in explained

    def test_a_probe_and_a_read_agree(self, table: Lab) -> None:
        """What one transaction did, each in turn, is seen by both or by neither."""
        follower = table.follow()
        follower.tick()
        for statement in ("insert into t (id) values (1)", "update t set updated_at = now()", "select 1"):
            table.run(statement)
            horizon = follower.horizon()
            with table.source.connect() as conn:
                found = probe(conn, follower.plan, follower.checkpoint, horizon)
            with open_reader(follower.source, follower.plan, follower.checkpoint, horizon) as reading:
                rows = sum(page.rows.num_rows for page in reading.pages())
                follower.checkpoint = reading.checkpoint()
            assert found.busy == (rows > 0)

    def test_twenty_idle_tables_take_one_statement_each(self, lab: Lab) -> None:
        names = [f"idle_{at}" for at in range(20)]
        for name in names:
            lab.run(f"create table {name} (id int primary key, updated_at timestamptz default now())")
        followers = [lab.follow(f"public.{name}") for name in names]
        horizon = followers[0].horizon()
        for follower in followers:
            follower.tick(horizon=horizon)
        with Counting.connect(lab.dsn, autocommit=True) as conn:
            found = [probe(conn, f.plan, f.checkpoint, horizon) for f in followers]
        assert not any(each.busy for each in found)
        assert conn.statements == 20


class Counting(psycopg.Connection[Any]):
    """Counts what is executed."""

    statements = 0

    def execute(self, *given: Any, **options: Any) -> psycopg.Cursor[Any]:
        self.statements += 1
        return super().execute(*given, **options)
