from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.integration.ledger.crew import SCHEMA, PostgresCrew
from tests.servers import own_database

pytest.register_assert_rewrite("tests.integration.ledger.conformance")


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with a ledger that nobody has used yet, to make others from."""
    with own_database(postgres) as dsn:
        crew = PostgresCrew(dsn, SCHEMA)
        crew.worker().migrate()
        crew.close()
        yield dsn.rpartition("/")[2]


@pytest.fixture
def crew(postgres: EmbeddedPostgres, migrated: str) -> Iterator[PostgresCrew]:
    """Workers over one migrated ledger, in a schema whose name needs quotes."""
    with own_database(postgres, template=migrated) as dsn:
        crew = PostgresCrew(dsn, SCHEMA)
        yield crew
        crew.close()
