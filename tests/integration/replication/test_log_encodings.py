"""Databases with other encodings than UTF-8."""

from __future__ import annotations

import psycopg
import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.sync.stream.pages import change_pages
from tests.integration.postgres.lab import lab_in
from tests.integration.replication.slot_lab import SlotLab

BAD = "convert_from('\\xff', 'SQL_ASCII')"
SOME_BAD = f"insert into t values ('v', {BAD}, null), ('a', null, array[{BAD}]), ({BAD}, null, null)"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_of_the_log_are_utf8(postgres: EmbeddedPostgres, encoding: str) -> None:
    """The server converts them, in a session and with SQL; in a database that does not know its texts' encoding, those
    that are not UTF-8 are rejected, row by row, also where the source is asked to convert values."""
    name = f"log_{encoding.lower()}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0".encode())
        try:
            with lab_in(postgres.dsn(name)) as lab:
                log = SlotLab(lab)
                bad = encoding == "SQL_ASCII"
                lab.run("set client_encoding to 'UTF8'", "drop table t")
                lab.run(
                    "create table t (id text primary key, v text, a text[])",
                    "alter publication pub add table t",
                )
                lab.run("insert into t values ('ä', 'ö', '{ü}')", *([SOME_BAD] if bad else []))
                plan = lab.plan(mode="xmin", watermark_column=None)
                for opened in (log.peek, log.open):
                    reader = opened()
                    reading = reader.read(log.end())
                    [page] = change_pages(reading.blocks(plan.source.oid), plan, lab.source)
                    assert page.page.rows.to_pylist() == [{"id": "ä", "v": "ö", "a": '["ü"]'}]
                    found = [row.reason for row in page.page.rejected]
                    assert found == [f"{column}: the text is not UTF-8" for column in ("v", "a", "id") if bad]
                    reading.close()
                    reader.close()
                log.close()
        finally:
            admin.execute(f"drop database {name} with (force)".encode())
