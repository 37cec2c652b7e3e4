"""An application with the status router reports that no worker runs, for as long as it runs itself."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pgsnow.integrations.fastapi import status_router
from pgsnow.integrations.notify import watch
from tests.inbox import Inbox
from tests.progress import CEILING
from tests.world import MemoryWorld


def test_an_application_reports_stopped_workers_without_being_asked(
    alerted: MemoryWorld, receiver: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody requests a page. It looks once in each interval; here, the interval is short."""
    monkeypatch.setattr(watch, "SHORTEST_PAUSE", 0.01)
    with alerted.engine() as engine:
        engine.tick()
    alerted.sql("update sync_watermarks set last_run = last_run - interval '1 hour', lease_expires = null")
    alerted.sql("update sync_ticks set at = at - interval '1 hour'")
    alerted.options["sync_interval_seconds"] = 0.01
    app = FastAPI()
    app.include_router(status_router(alerted.config, settings=alerted.settings))
    with TestClient(app):
        assert receiver.arrived.acquire(timeout=CEILING)
    assert receiver.titles[0].startswith("The sync has stopped: no worker has run a tick for ")
    assert len(receiver.bodies) == 1


def test_an_application_is_quiet_before_the_first_run(
    alerted: MemoryWorld, receiver: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no ledger yet, which is no error."""
    from pgsnow.ledger.ledger import Ledger

    alerted.options["ledger_schema"] = "nothing_there"
    ledger = Ledger(alerted.settings.ledger, "nothing_there")
    watch.look_for_stop(alerted.config, lambda: ledger)
    ledger.close()
    assert receiver.bodies == []
    assert [r for r in caplog.records if "could not" in str(r.msg)] == []
