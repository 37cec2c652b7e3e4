"""A standby synchronizes the slot and takes over.

Group: history
Danger: After a failover the new primary has no replication slot, or lacks log that was read already: changes would be
missing, or rows that the new primary does not have would stay in Snowflake.
Answer: The slot is made with `failover`, so that a standby with `sync_replication_slots` has it (PostgreSQL 17), and
with `synchronized_standby_slots` nothing is read that the standby has not received. After the failover the tables are
read on from the slot, and nothing is read a second time.
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
from tests.edges.log_shop import assert_all_arrives, configure, generation, in_the_log, tick
from tests.edges.own_server import CONFIG, OwnServer, Shop
from tests.progress import wait_until


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
