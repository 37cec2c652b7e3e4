"""What the status, the metrics and the alerts say of the log, from the ledger alone."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from pgsnow.integrations.prometheus.collect import metrics_text
from pgsnow.integrations.prometheus.definitions import LOG
from pgsnow.ledger.alerts.alert import AlertRule
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.slots.store import SlotClaim
from pgsnow.operations.alerts.finding import Finding, findings_of
from pgsnow.operations.status.log import log_line, log_of
from pgsnow.operations.status.summary import status_of
from tests.world import MemoryWorld

MB = 1 << 20
FIGURES: dict[str, Any] = {
    "retained": 10 * MB, "limit": 100 * MB, "safe": 5, "wal_status": "reserved", "server_spilled": 7,
    "newest_commit": "2026-01-31T12:00:00+00:00",
}  # fmt: skip


def test_the_log_is_in_the_status_the_metrics_and_the_alerts(memory_world: MemoryWorld) -> None:
    """Nothing is said while it is read and holds back little; a trouble is an alert only once it has lasted, a slot
    that fills is one at once; both end by themselves. A configuration without `mode: log` says nothing at all."""
    world = memory_world
    world.options = {"alerts": {"to": [{"kind": "webhook", "url": "https://hooks.example/1"}]}}
    with closing(Ledger(world.settings.ledger)) as ledger:
        ledger.migrate()
        now = datetime.now(UTC)
        assert status_of(world.config, ledger, now)["log"] is None
        world.tables[0]["mode"] = "log"
        assert log_of(world.config, ledger) is None
        slot, publication = world.config.log_names(ledger.checkpoints.owners()[0])
        claim = ledger.slots.claim(slot, publication, run_id="r", holder="h")
        assert isinstance(claim, SlotClaim)
        ledger.slots.new_generation(claim, 50, why="it was not made yet")

        def findings(at: datetime) -> list[Finding]:
            alerts = world.config.alerts
            assert alerts is not None
            log = log_of(world.config, ledger)
            return list(findings_of(world.config, alerts, [], [], at, None, log).found)

        ledger.slots.advance(claim, 100, figures=FIGURES)
        text = metrics_text(world.config, ledger, now)
        assert [metric.name for metric in LOG if f'{metric.name}{{slot="{slot}"}}' not in text] == []
        assert f'pgsnow_log_up{{slot="{slot}"}} 1' in text
        assert (shown := log_of(world.config, ledger)) is not None
        noon = datetime(2026, 1, 31, 12, 1, tzinfo=UTC)
        assert (
            log_line(shown, noon)
            == f"slot {slot} holds back 10 MB; the newest change that was read is 60 s old"
        )
        assert findings(now) == []
        ledger.slots.trouble(claim, "the slot is gone", {"retained": 0})
        assert findings(now) == []
        [late] = findings(now + timedelta(seconds=3 * world.config.sync_interval_seconds + 60))
        assert (late.rule, late.text) == (AlertRule.LOG, "the log is not read: the slot is gone")
        assert status_of(world.config, ledger, now)["log"]["trouble"] == "the slot is gone"
        assert f'pgsnow_log_up{{slot="{slot}"}} 0' in metrics_text(world.config, ledger, now)
        ledger.slots.advance(
            claim, 101, figures={"retained": 60 * MB, "oldest": "pid 7", "limit": "edited by hand"}
        )
        assert findings(now) == []
        ledger.slots.advance(claim, 102, figures={"limit": 100 * MB})
        [full] = findings(now)
        assert full.text == (
            f"slot {slot} holds back 60 MB of log, of at most 100 MB; the oldest open transaction is pid 7"
        )
        ledger.slots.release(claim)
