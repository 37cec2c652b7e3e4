"""On a server that has given out more than 2^32 transaction ids, rows frozen long ago look like new ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pgsnow.embedded.binaries import binaries_for, server_user
from pgsnow.model.checkpoint import ReadMode
from tests.integration.postgres.lab import lab_in
from tests.integration.postgres.test_pg_reading import own_server

TABLE = "create table t (id int primary key, updated_at timestamptz default now())"
NEXT = "select txid_snapshot_xmax(txid_current_snapshot())"


@pytest.mark.parametrize("mode", [ReadMode.WATERMARK, ReadMode.XMIN])
def test_a_running_transaction_with_a_frozen_rows_xid_is_not_taken_for_read(
    servers_dir: Path, mode: ReadMode
) -> None:
    """Its low 32 bits are those of the old row, which is visible: that must not mark it as seen."""
    directory = servers_dir / f"wrapped-{mode}"
    with own_server(directory) as server, lab_in(server.dsn()) as lab:
        lab.run(TABLE, "vacuum freeze", "insert into t (id) values (1)")
        old = int(lab.one("select xmin::text from t"))
        lab.run("vacuum freeze t")
        assert lab.one(NEXT) == old + 1
    count_on_from(directory, epoch=1, xid=old)
    with own_server(directory) as server, lab_in(server.dsn()) as lab:
        assert lab.one(NEXT) == 2**32 + old
        follower = lab.follow()
        follower.tick()
        assert follower.checkpoint is not None
        follower.checkpoint = follower.checkpoint.evolve(mode=mode, low="-infinity")
        late = lab.session()
        late.execute("insert into t (id) values (100)")
        lab.run("insert into t (id) values (2)")
        assert sorted(follower.tick()) == [1, 2]
        late.commit()
        assert 100 in follower.tick()


def count_on_from(directory: Path, *, epoch: int, xid: int) -> None:
    """As if so many transaction ids had been used."""
    user = server_user()
    program = str(binaries_for(user) / "pg_resetwal")
    subprocess.run(
        [program, "-e", str(epoch), "-x", str(xid), "-D", str(directory.resolve())],
        check=True, cwd="/", user=user and user.pw_uid, group=user and user.pw_gid, capture_output=True,
    )  # fmt: skip
