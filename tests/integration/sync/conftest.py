from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.world import USERS, World


@pytest.fixture
def world(
    database: str, snowflake_env: dict[str, str], emulator: EmbeddedSnowflake, tmp_path: Path
) -> Iterator[World]:
    """Users (an empty table) on one side, an empty database on the other."""
    world = World({"POSTGRES_DSN": database, **snowflake_env}, emulator, tmp_path)
    world.sql(USERS)
    yield world
    world.close()
