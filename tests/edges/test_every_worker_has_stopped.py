"""Every worker has stopped.

Group: process
Danger: the process that would report what is wrong is what is wrong: the workers or the schedule do not run, so
nothing fails, nothing is sent, and the data only gets older.
Answer: an application with the status router, or `pgsnow serve`, looks at the ledger once in each interval, and reports
that no worker has run a tick for three intervals and 30 seconds. For the case that all machines are gone, each tick
requests `heartbeat_url`, and a service outside notices when that stops.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgsnow.integrations.notify.after_tick import send_alerts
from pgsnow.integrations.notify.watch import look_for_stop
from pgsnow.ledger.ledger import Ledger
from tests.inbox import Inbox
from tests.world import MemoryWorld


@pytest.fixture
def ledger(memory_world: MemoryWorld) -> Iterator[Ledger]:
    """That of a web process."""
    found = Ledger(memory_world.settings.ledger, "public")
    yield found
    found.close()


@pytest.fixture
def synced(alerted: MemoryWorld) -> MemoryWorld:
    with alerted.engine() as engine:
        engine.tick()
    return alerted


def test_a_stopped_worker_is_reported_by_other_processes_and_its_return_by_itself(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    """Two web processes look; one message arrives. A tick that runs again is its end."""
    look_for_stop(synced.config, lambda: ledger)
    assert receiver.bodies == []
    synced.sql("update sync_ticks set at = at - interval '10 minutes'")
    synced.sql("update sync_watermarks set last_run = last_run - interval '10 minutes'")
    synced.sql("update sync_watermarks set lease_expires = now() + interval '1 minute'")
    look_for_stop(synced.config, lambda: ledger)
    assert receiver.bodies == [], (
        "a worker that loads a large table has no time for ticks, and is none that stopped"
    )
    synced.sql("update sync_watermarks set lease_expires = null")
    look_for_stop(synced.config, lambda: ledger)
    other = Ledger(synced.settings.ledger, "public")
    look_for_stop(synced.config, lambda: other)
    other.close()
    [raised] = receiver.bodies
    assert raised["title"].startswith("The sync has stopped: no worker has run a tick for 10 min")
    assert (raised["severity"], raised["tables"]) == ("critical", [])
    with synced.engine() as engine:
        engine.tick()
        send_alerts(engine.config, engine.ledger)
    assert receiver.titles[1:] == ["Recovered: ticks run again"]
