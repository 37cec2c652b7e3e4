from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.ledger.ledger import Ledger
from tests.inbox import Inbox, inbox
from tests.world import MemoryWorld

SECRET = "T000-s3cr3t"
"""Part of the address of every receiver."""


@pytest.fixture
def receiver() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture
def alerted(memory_world: MemoryWorld, receiver: Inbox) -> MemoryWorld:
    """A world whose alerts go to the receiver."""
    memory_world.options["alerts"] = {"to": [{"url": f"{receiver.url}/{SECRET}"}]}
    return memory_world


@pytest.fixture
def ledger(memory_world: MemoryWorld) -> Iterator[Ledger]:
    """Another process's view of the same ledger."""
    found = Ledger(memory_world.settings.ledger, "public")
    yield found
    found.close()
