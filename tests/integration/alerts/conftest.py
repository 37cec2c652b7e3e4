from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.ledger.ledger import Ledger
from tests.world import MemoryWorld


@pytest.fixture
def ledger(memory_world: MemoryWorld) -> Iterator[Ledger]:
    """Another process's view of the same ledger."""
    found = Ledger(memory_world.settings.ledger, "public")
    yield found
    found.close()
