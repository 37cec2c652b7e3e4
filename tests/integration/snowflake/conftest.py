from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.model.settings.settings import Settings, SnowflakeSettings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import Session, connect


@pytest.fixture
def snowflake_settings(snowflake_env: dict[str, str]) -> SnowflakeSettings:
    """An empty database of this test's own."""
    return Settings.from_env(
        {"POSTGRES_DSN": "postgresql://nobody@127.0.0.1/none", **snowflake_env}
    ).snowflake


@pytest.fixture
def session(snowflake_settings: SnowflakeSettings) -> Iterator[Session]:
    with connect(snowflake_settings, query_tag="test") as session:
        yield session


@pytest.fixture
def target(snowflake_settings: SnowflakeSettings) -> TargetName:
    """A table that is not there yet, in a schema that is not there yet."""
    return TargetName.parse("analytics.users", database=snowflake_settings.database)
