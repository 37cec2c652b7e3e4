"""The server of the tests whose source loses a part of its history, and a shop on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.edges.own_server import OnOwnServer, OwnServer, Shop


@pytest.fixture(scope="session")
def own_server(servers_dir: Path) -> Iterator[OwnServer]:
    own = OwnServer(servers_dir / "history")
    yield own
    own.server.stop()


@pytest.fixture
def shop(own_server: OwnServer, database: str, tmp_path: Path) -> Iterator[Shop]:
    """Five users and five items, which are synced. The ledger is on another server."""
    with own_server.database() as dsn:
        shop = Shop(dsn, tmp_path)
        shop.begin(database)
        yield shop
        shop.close()


@pytest.fixture
def other_shop(own_server: OwnServer, tmp_path: Path) -> Iterator[Shop]:
    """Another on the same server, with the ledger in the source's database, as by default."""
    with own_server.database("other") as dsn:
        shop = Shop(dsn, tmp_path)
        shop.begin(None)
        yield shop
        shop.close()


@pytest.fixture
def snowflake_shop(
    own_server: OwnServer,
    database: str,
    emulator: EmbeddedSnowflake,
    snowflake_env: dict[str, str],
    tmp_path: Path,
) -> Iterator[OnOwnServer]:
    """The same with a target in the emulator."""
    with own_server.database() as dsn:
        shop = OnOwnServer({"POSTGRES_DSN": dsn, **snowflake_env}, emulator, tmp_path)
        shop.begin(None)
        yield shop
        shop.close()
