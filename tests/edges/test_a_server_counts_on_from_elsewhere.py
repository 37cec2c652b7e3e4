"""The server's transaction ids are set by hand, or the server is upgraded by pg_upgrade.

Group: history
Danger: `pg_resetwal -x` lets transaction ids jump, forward or back, and pg_upgrade moves the rows into a server
with another identity. Rows that are found by their transaction ids would be missed, or taken for rows that were
read.
Answer: The checkpoint names the server, and how far its transaction ids and its log reached. After a jump back and
after an upgrade, everything is read again once, and the run says so; after a jump forward, reading goes on. If rows
are deleted between the upgrade and the next tick, a person confirms that they are to leave Snowflake (`pgsnow run
--confirm-deletes`), because another server could be a wrong one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.binaries import binaries_for, server_user
from pgsnow.embedded.child import as_user
from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.edges.own_server import CONFIG, ITEMS, OwnServer, Shop
from tests.world import USERS

OLD = Path("/usr/lib/postgresql/15/bin")
"""Debian's server, which is older than the wheel's."""
JUMPS = {"forward": 10_000, "back": -40}


def next_xid(shop: Shop) -> int:
    return int(shop.sql("select txid_snapshot_xmax(txid_current_snapshot())")[0][0])


def count_on_from(own: OwnServer, xid: int) -> None:
    """As if so many transaction ids had been used."""
    own.server.stop()
    user = server_user()
    program = str(binaries_for(user) / "pg_resetwal")
    epoch, low = divmod(xid, 2**32)
    subprocess.run(
        [program, "-e", str(epoch), "-x", str(low), "-D", str(own.data)], check=True, capture_output=True,
        cwd="/", **as_user(user),
    )  # fmt: skip
    for name in ("pg_xact", "pg_subtrans"):  # the states of the ids that were skipped
        segment = own.data / name / f"{low // (32768 * (32 if name == 'pg_xact' else 2)):04X}"
        if not segment.exists():
            segment.write_bytes(bytes(262_144))
            shutil.copystat(own.data / "PG_VERSION", segment)
            os.chown(segment, own.data.stat().st_uid, own.data.stat().st_gid)
    own.server.start()


@pytest.mark.parametrize("jump", [pytest.param("forward", marks=pytest.mark.thorough), "back"])
def test_pg_resetwal_moves_the_ids(servers_dir: Path, database: str, tmp_path: Path, jump: str) -> None:
    """Rows from before and after the jump arrive, each way of reading."""
    own = OwnServer(servers_dir / f"jump-{jump}")
    try:
        with own.database() as dsn:
            shop = Shop(dsn, tmp_path)
            shop.begin(database)
            shop.write(10, 40)
            shop.tick()
            shop.sql("vacuum freeze")
            count_on_from(own, next_xid(shop) + JUMPS[jump])
            shop.write(100, 5)
            shop.update(1, 12, name="after the jump")
            shop.sql("delete from items where id = 11")
            shop.tick()
            shop.write(200, 5)
            shop.tick()
            shop.assert_equal()
            shop.close()
    finally:
        own.server.stop()


@pytest.fixture
def old_server(servers_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    if not OLD.is_dir():
        pytest.skip("there is no older PostgreSQL on this machine")
    with monkeypatch.context() as patch:
        patch.setenv("PG_BIN", str(OLD))
        server = EmbeddedPostgres(servers_dir / "upgraded_from", config=CONFIG)
        server.start()
    yield server
    server.stop()


def upgrade(old: EmbeddedPostgres, directory: Path) -> EmbeddedPostgres:
    """Stop the server and move its databases into a new one, by pg_upgrade."""
    old.stop()
    new = EmbeddedPostgres(directory, old.port, config=CONFIG)
    new.start()
    new.stop()
    user = server_user()
    programs = binaries_for(user)
    run = directory.parent / "pg_upgrade"
    run.mkdir()
    if user is not None:
        os.chown(run, user.pw_uid, user.pw_gid)
    for command in (
        ["pg_checksums", "--disable", "-D", str(new.data_dir.resolve())],  # which the old server has not
        ["pg_upgrade", "-b", str(OLD), "-B", str(programs), "-U", "postgres", "-s", "/tmp",
         "-d", str(old.data_dir.resolve()), "-D", str(new.data_dir.resolve())],
    ):  # fmt: skip
        command[0] = str(programs / command[0])
        done = subprocess.run(command, cwd=run, capture_output=True, text=True, check=False, **as_user(user))
        assert done.returncode == 0, done.stdout + done.stderr
    new.start()
    return new


@pytest.mark.thorough
def test_pg_upgrade_moves_the_rows(
    old_server: EmbeddedPostgres, servers_dir: Path, database: str, tmp_path: Path
) -> None:
    """The upgraded server has another identity, and the transaction ids of the old one. Once it was read, deleted rows
    are found as before."""
    with psycopg.connect(old_server.dsn(), autocommit=True) as admin:
        admin.execute("create database shop")
    with psycopg.connect(old_server.dsn("shop"), autocommit=True) as conn:
        conn.execute((USERS + ITEMS).encode())
    shop = Shop(old_server.dsn("shop"), tmp_path)
    shop.begin(database)
    shop.close_engine()
    shop.source.close()
    new = upgrade(old_server, servers_dir / "upgraded_to")
    try:
        shop.source = psycopg.connect(shop.writer, autocommit=True)
        shop.write(20, 5)
        shop.update(1, name="after the upgrade")
        assert all(report.full_read for report in shop.tick().values())
        shop.assert_equal()
        shop.sql("delete from items where id = 2")
        assert {report.full_read for report in shop.tick().values()} == {None}
        shop.assert_equal()
        shop.close()
    finally:
        new.stop()
