"""A standby takes over from the server whose log is read.

Group: history
Danger: The standby has no replication slot, or one that is behind, or it lacks log that was read already. Changes
would be missing, or rows that were lost with the primary would stay; other tools copy every table again.
Answer: pgsnow asks the new primary where it left the timeline of the old one. If that is behind everything that was
read, tables are read on from where they were, from the slot if the standby has it (`failover`), else once without the
log. If the standby lacked something, everything is read again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgsnow.embedded.binaries import binaries_for, server_user
from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.edges.log_shop import (
    assert_all_arrives,
    configure,
    generation,
    in_the_log,
    tick,
    ticks_until_streaming,
)
from tests.edges.own_server import CONFIG, OwnServer, Shop
from tests.progress import wait_until


def test_tables_are_read_on_where_the_standby_had_everything(shop: Shop, own_server: OwnServer) -> None:
    """With the slot and without it no table is read as a whole, and nothing is missing or left over; a standby that
    lacked what was read has all tables read again."""
    shop.sql("create publication pgsnow_shop for table users, items")
    shop.options["log_publication"] = "pgsnow_shop"
    for table in shop.tables:
        table["mode"] = "log"
    ticks_until_streaming(shop)
    made = generation(shop)
    for keeps_slot in (True, False):
        own_server.keep_copy()
        own_server.put_copy_back(as_standby=True)
        if not keeps_slot:
            shop.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        shop.write(30 if keeps_slot else 60, 3)
        shop.update(1, 2, name=f"after {keeps_slot}")
        shop.sql(f"delete from items where id = {3 if keeps_slot else 4}")
        assert {report.full_read for report in shop.tick().values()} == {None}
        shop.assert_equal()
        ticks_until_streaming(shop)
        assert generation(shop) == made + (not keeps_slot)
        shop.update(5, name=f"from the log {keeps_slot}")
        shop.tick()
        shop.assert_equal()
    own_server.keep_copy()
    shop.write(90, 3)
    shop.tick()
    own_server.put_copy_back(as_standby=True)
    shop.write(100, 2)
    assert all("timeline changed" in str(report.full_read) for report in shop.tick().values())
    shop.assert_equal()
    shop.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


@contextmanager
def standby_of(server: OwnServer, folder: Path) -> Iterator[EmbeddedPostgres]:
    """A standby that follows the server through the slot `second`, and synchronizes its logical slots."""
    data = server.data.parent / folder.name
    server.sql("select pg_create_physical_replication_slot('second', true)")
    user = server_user()
    program = str(binaries_for(user) / "pg_basebackup")
    subprocess.run([program, "-D", f"{data}", "-d", server.server.dsn(), "-c", "fast"], check=True)
    (data / "standby.signal").touch()
    if user is not None:
        subprocess.run(["chown", "-R", user.pw_name, str(data)], check=True)
    options = {
        **CONFIG,
        "primary_conninfo": f"host=127.0.0.1 port={server.server.port} user=postgres dbname=postgres",
        "primary_slot_name": "second",
        "hot_standby_feedback": "on",
        "sync_replication_slots": "on",
        "wal_receiver_status_interval": "1",
    }
    standby = EmbeddedPostgres(data, config=options)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


@pytest.mark.thorough
def test_the_tables_are_read_on_from_the_synchronized_slot(
    shop: Shop, own_server: OwnServer, tmp_path: Path
) -> None:
    """Changes before, during and after the failover arrive; no table is read as a whole, and the slot is the same."""
    with in_the_log(shop, own_server), standby_of(own_server, tmp_path) as standby:
        configure(own_server, synchronized_standby_slots="second")
        assert_all_arrives(shop, 1)
        made = generation(shop)
        synced = "select synced and not temporary and invalidation_reason is null from pg_replication_slots"
        wait_until(lambda: sql(standby, synced) == [(True,)], "the standby does not have the slot")
        shop.write(600, 3)
        own_server.sql("select pg_logical_emit_message(false, 'x', 'y', true)")
        [(end,)] = own_server.sql("select pg_current_wal_flush_lsn()")
        wait_until(
            lambda: sql(standby, f"select pg_last_wal_replay_lsn() >= '{end}'") == [(True,)],
            "the standby is behind",
        )
        own_server.server.kill()
        try:
            sql(standby, "select pg_promote()")
            shop.through({"POSTGRES_DSN": make_conninfo(shop.env["POSTGRES_DSN"], port=standby.port)})
            shop.writer = shop.env["POSTGRES_DSN"]
            shop.write(610, 3)
            shop.sql("delete from items where id = 601")
            reports = tick(shop)
            assert {(report.full_read, report.rows_read > 0) for report in reports.values()} == {(None, True)}
            shop.assert_equal()
            assert generation(shop) == made
            assert_all_arrives(shop, 2)
        finally:
            shop.close_engine()
            own_server.server.start()


def sql(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        return conn.execute(statement.encode()).fetchall()
