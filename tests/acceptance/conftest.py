from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.acceptance.cli_user import User
from tests.servers import own_database


@pytest.fixture
def user(
    postgres: EmbeddedPostgres, user_template: str, snowflake_env: dict[str, str], tmp_path: Path
) -> Iterator[User]:
    """A user with a table list of two tables, none of which was ever synced; the ledger is there, and empty."""
    with own_database(postgres, user_template) as dsn:
        user = User(tmp_path, dsn, snowflake_env)
        user.save()
        yield user
        user.close()


@pytest.fixture
def newcomer(
    postgres: EmbeddedPostgres, source_template: str, snowflake_env: dict[str, str], tmp_path: Path
) -> Iterator[User]:
    """The same user before the first command: there is no ledger yet."""
    with own_database(postgres, source_template) as dsn:
        user = User(tmp_path, dsn, snowflake_env)
        user.save()
        yield user
        user.close()
