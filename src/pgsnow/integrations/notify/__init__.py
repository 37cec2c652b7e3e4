"""Everything that is sent over HTTP about ticks: alerts, heartbeats, lineage. Never part of a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgsnow.model.config.sync_config import SyncConfig


def is_wanted(config: SyncConfig) -> bool:
    """True if anything is to be sent after a tick. Without that no module of this package is imported."""
    return bool(config.alerts or config.heartbeat_url or config.heartbeat_fail_url or config.openlineage_url)
