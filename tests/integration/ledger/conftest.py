from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.ledger.crew import SCHEMA, PostgresCrew

pytest.register_assert_rewrite("tests.unit.ledger.conformance")


@pytest.fixture
def crew(database: str) -> Iterator[PostgresCrew]:
    """Workers over one migrated ledger, in a schema whose name needs quotes."""
    crew = PostgresCrew(database, SCHEMA)
    crew.worker().migrate()
    yield crew
    crew.close()
