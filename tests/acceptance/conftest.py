from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli_user import User


@pytest.fixture
def user(database: str, snowflake_env: dict[str, str], tmp_path: Path) -> Iterator[User]:
    """A user with a table list of two tables, none of which was ever synced."""
    user = User(tmp_path, database, snowflake_env)
    user.save()
    yield user
    user.close()
