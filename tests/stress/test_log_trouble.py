"""`mode: log` while everything else goes wrong too: `make stress`. PGSNOW_LOG_SECONDS makes it longer, PGSNOW_LOG_SEED
is the seed of what is killed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres
from pgsnow.embedded.snowflake import DATABASE, EmbeddedSnowflake
from tests.edges.own_server import OnOwnServer
from tests.stress import log_writers
from tests.stress.log_trouble import Trouble, looking
from tests.stress.test_log_stress import SECONDS, WRITERS, log_tables, settle

SEED = int(os.environ.get("PGSNOW_LOG_SEED", "1"))
CONFIG = {**FAST_AND_FORGETFUL, "synchronous_commit": "on", "max_prepared_transactions": "50"}


@pytest.fixture
def servers(servers_dir: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedSnowflake]]:
    """Two servers of the test's own, which may be killed."""
    folder = servers_dir / "trouble"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / f"postgres-{time.time_ns()}", config=CONFIG)
    emulator = EmbeddedSnowflake(folder / f"snowflake-{time.time_ns()}", threads=1)
    with postgres, emulator:
        emulator.create_database(DATABASE)
        yield postgres, emulator


def own_world(env: dict[str, str], emulator: EmbeddedSnowflake, folder: Path) -> OnOwnServer:
    world = OnOwnServer(env, emulator, folder)
    world.writer = env["POSTGRES_DSN"]
    return world


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.parametrize("consistent", [False, True], ids=["alone", "together"])
def test_nothing_is_lost_whatever_is_killed(
    servers: tuple[EmbeddedPostgres, EmbeddedSnowflake], tmp_path: Path, consistent: bool
) -> None:
    """Workers, Postgres and the emulator are killed at any moment, and tables are altered: 0 missing, stale, ghost or
    doubled rows; and a state that its tick calls consistent keeps sums and foreign keys for every reader."""
    postgres, emulator = servers
    env = {"POSTGRES_DSN": postgres.dsn(), **emulator.settings_env()}
    world = own_world(env, emulator, tmp_path)
    for statement in log_writers.SCHEMA.split(";\n"):
        world.sql(statement)
    world.sql("alter database postgres set logical_decoding_work_mem = '64kB'")
    world.tables = log_tables()
    world.options |= {"log_publication": "pgsnow_stress", **({"consistency": "tick"} if consistent else {})}
    settle(world)
    reading = looking(env) if consistent else None
    trouble = Trouble(postgres, emulator, {**world.options, "tables": world.tables}, env, random.Random(SEED))
    looks = reading[1] if reading else None
    trouble.run(SECONDS, writers=WRITERS // 2, ddl=True, looks=looks)
    looked = looks.whole if looks else 0
    print(
        f"killed: {dict(trouble.done)}; runs: {trouble.ended()}, {trouble.ended('ok', 'partial')} with changes"
    )
    assert trouble.ended("ok", "partial") > 0
    world.close()
    world, before = own_world(env, emulator, tmp_path), world  # its sessions ended with the servers
    world.tables, world.options = before.tables, before.options
    settle(world, locked=True)
    if reading is not None:
        thread, seen = reading
        seen.stop.set()
        thread.join()
        print(f"{seen.whole} looks at consistent states, {looked} of them under way; {seen.others} at others")
        assert seen.broken == []
        assert looked > 0
    world.close()
