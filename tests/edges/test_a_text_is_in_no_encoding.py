"""A text is in no encoding.

Group: encodings
Danger: A database with encoding SQL_ASCII takes any bytes. One value that is not UTF-8, in a key or in the name of a
table, stops its table, or every table.
Answer: The row is rejected, and named by its key with such bytes as `\\xe9`; the other rows are synced. A table or
column whose name is not UTF-8 is named in the same way, with the command that renames it; other tables are not
affected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.discovery.proposal import propose
from pgsnow.model.report import Status, TableReport
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.source import check_source
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.verify.source_rows import expected_rows
from pgsnow.postgres.catalog.survey import survey
from pgsnow.postgres.connection import Source
from pgsnow.sync.pipeline.row_keys import items_of
from tests.encoded import encoded_database
from tests.world import MemoryWorld

TABLE = {
    "source": "public.t",
    "target": "analytics.t",
    "pk": "k",
    "watermark_column": "updated_at",
    "batch_size": 2,
}
ROWS = """
create table t (k text primary key, v text, j jsonb, a text[], updated_at timestamptz not null default now());
insert into t values ('café', 'é', '{"a": "é"}', array['é']),
    (E'caf\\xe9', 'bad key', null, null), ('value', E'\\xe9', null, null),
    ('document', 'x', E'{"n": 123456789012345678901234567890123456789012345678901234567890, "a": "\\xe9"}', null),
    ('list', 'x', null, array[E'\\xe9']), ('last', 'x', null, null)
"""
BAD = {"caf\\xe9", "value", "document", "list"}


@pytest.fixture
def bytes_world(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[MemoryWorld]:
    """A world in a database that checks no text."""
    with encoded_database(postgres, "SQL_ASCII") as dsn:
        world = MemoryWorld(dsn, tmp_path)
        world.source.execute("set client_encoding to 'UTF8'")
        world.tables = [dict(TABLE)]
        with closing(world):
            yield world


def tick(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        engine.ledger.migrate()
        return engine.tick(**options).tables[0]


def loaded(world: MemoryWorld) -> set[object]:
    return {row["K"] for row in world.target("analytics.t").rows}


@pytest.mark.parametrize("more", [{}, {"mode": "full"}, {"late_rows": "off"}, {"mode": "xmin"}])
def test_a_row_with_such_a_text_is_rejected_and_the_others_are_synced(
    bytes_world: MemoryWorld, more: dict[str, str]
) -> None:
    """In keys, values, documents and arrays, in every mode; the payload shows each byte that is in no encoding."""
    world = bytes_world
    world.source.execute(ROWS.encode())
    world.tables[0] |= more
    if more.get("mode"):
        del world.tables[0]["watermark_column"]
    report = tick(world)
    assert (report.status, report.rows_rejected) == (Status.PARTIAL, len(BAD)), report.error
    assert loaded(world) == {"café", "last"}
    with world.engine() as engine:
        errors = {error.key["k"]: error for error in engine.ledger.rejected_rows.listed()}
    assert set(errors) == BAD
    assert {error.reason for error in errors.values()} == {
        f"{column}: the text is not UTF-8" for column in ("k", "v", "j", "a")
    }
    assert (errors["value"].payload or {})["v"] == "\\xe9"
    assert (errors["caf\\xe9"].payload or {})["v"] == "bad key"


def test_a_rejected_row_is_found_again_by_its_key(bytes_world: MemoryWorld) -> None:
    """A replay reads it: it stays an open error until its text is corrected, and one that is gone is closed."""
    world = bytes_world
    world.source.execute(ROWS.encode())
    tick(world)
    with world.engine() as engine:
        ids = {error.key["k"]: error.id for error in engine.ledger.rejected_rows.listed()}
        assert engine.replay(list(ids.values())).tables[0].rows_rejected == len(BAD)
        assert len(engine.ledger.rejected_rows.listed()) == len(BAD)
        world.source.execute("delete from t where k = E'caf\\xe9'; update t set v = 'good' where k = 'value'")
        engine.replay([ids["caf\\xe9"], ids["value"]])
        assert {error.key["k"] for error in engine.ledger.rejected_rows.listed()} == {"document", "list"}
    assert loaded(world) == {"café", "last", "value"}


def test_verify_reads_such_a_row_as_rejected(bytes_world: MemoryWorld) -> None:
    """It shows the bytes as the open errors do, so that it knows which rows the target may lack."""
    world = bytes_world
    world.source.execute(ROWS.encode())
    tick(world)
    with world.engine() as engine, engine.source.connect() as conn:
        table = world.config.tables[0]
        prepared = engine.planner.plan(conn, table, None, None)
        bad = {items_of(key): reason for key, reason in engine.ledger.rejected_rows.open_reasons(table.name)}
        pages, rejected = expected_rows(engine.source, conn, prepared, bad)
        keys = {row[0] for page in pages(2) for row in page}
    assert {key for (key,) in rejected} == BAD
    assert keys == BAD | {"café", "last"}


def test_every_page_may_end_in_such_a_key(bytes_world: MemoryWorld) -> None:
    """`late_rows: off` continues behind the last row of a page, whatever its key is."""
    world = bytes_world
    world.source.execute(
        "create table t (k text primary key, updated_at timestamptz not null default now());"
        " insert into t select convert_from(decode(h, 'hex'), 'SQL_ASCII')"
        " from unnest(array['e9', 'e961', 'ea', '61', 'eb', 'ec']) h"
    )
    world.tables[0] |= {"late_rows": "off", "batch_size": 1}
    report = tick(world)
    assert (report.status, report.rows_rejected) == (Status.PARTIAL, 5)
    assert loaded(world) == {"a"}
    world.source.execute("insert into t values ('b')")
    assert tick(world).status in (Status.OK, Status.PARTIAL)
    assert loaded(world) == {"a", "b"}


NAMES = r"""
create table t (k text primary key, v text, updated_at timestamptz not null default now());
create table columns (id int primary key);
do $$ begin
    execute format('create table %I (id int)', convert_from('\xe974', 'SQL_ASCII'));
    execute format('create schema %I', convert_from('\xe973', 'SQL_ASCII'));
    execute format('create table %I.inside (id int)', convert_from('\xe973', 'SQL_ASCII'));
    execute format('alter table columns add column %I int', convert_from('\xe963', 'SQL_ASCII'));
end $$
"""


def test_a_name_that_is_not_utf8_hides_no_other_table(bytes_world: MemoryWorld) -> None:
    """Discovery names it, and the statement that it advises renames it; the other tables are proposed."""
    bytes_world.source.execute(NAMES.encode())
    with Source(bytes_world.settings.source).connect() as conn:
        found = {str(p.name): p for p in propose(survey(conn)) if not p.name.table.startswith("sync_")}
        refused = {name: p.refusal for name, p in found.items() if p.entry is None}
        assert found["public.t"].entry is not None
        assert refused == {
            'public."\\xe9t"': "the name of the table is not UTF-8: \\xe9t",
            '"\\xe9s".inside': "the name of its schema is not UTF-8: \\xe9s",
            "public.columns": "the name of a column is not UTF-8: \\xe9c",
        }
        for number, name in enumerate(refused):
            bytes_world.source.execute(found[name].fix.replace("new_name", f"better_{number}").encode())
        assert all(not proposal.refusal for proposal in propose(survey(conn)))


def test_a_column_with_such_a_name_stops_its_own_table_with_the_statement_that_helps(
    bytes_world: MemoryWorld,
) -> None:
    """In check and in a run; other tables are synced in the same tick, and `status` shows all of them."""
    world = bytes_world
    world.source.execute(NAMES.encode())
    world.source.execute("insert into t values ('a', 'b')")
    world.tables.append(
        {"source": "public.columns", "target": "analytics.columns", "pk": "id", "mode": "xmin"}
    )
    with world.engine() as engine:
        engine.ledger.migrate()
        synced, stopped = engine.tick().tables
        assert synced.status is Status.OK
        assert (stopped.error_type, "RENAME COLUMN" in (stopped.advice or "")) == ("UnsupportedTable", True)
        assert [row.last_status for row in engine.ledger.run_log.watermarks()] == ["error", "ok"]
        with Source(world.settings.source).connect() as conn:
            assert all(result.level is not Level.FAILED for result in check_source(conn, "here"))
            results, _ = check_table(conn, world.config.tables[1], world.settings.snowflake)
            assert [result.fix for result in results] == [stopped.advice]
        world.source.execute((stopped.advice or "").encode())
        assert engine.tick().tables[1].error is None


def test_a_configured_name_that_the_encoding_lacks_is_a_missing_table(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """The fingerprints of all tables are asked for by one statement, which such a name must not break."""
    with encoded_database(postgres, "LATIN1") as dsn, closing(MemoryWorld(dsn, tmp_path)) as world:
        world.source.execute("create table t (k int primary key); insert into t values (1)")
        world.tables = [
            {"source": "public.t", "target": "analytics.t", "pk": "k", "mode": "xmin"},
            {"source": 'public."ключ"', "target": "analytics.u", "pk": "k", "mode": "xmin"},
        ]
        with world.engine() as engine:
            engine.ledger.migrate()
            synced, missing = engine.tick().tables
        assert synced.status is Status.OK
        assert missing.error_type == "SourceTableMissing"
