"""Names of the slot and the publication of one configuration."""

from __future__ import annotations

from pgsnow.model.config.sync_config import SyncConfig


def slot_names(config: SyncConfig, ledger_id: str) -> tuple[str, str]:
    """(slot, publication), as configured, else after the ledger's id."""
    slot = config.log_slot or f"pgsnow_{ledger_id.replace('-', '').lower()[:12]}"
    return slot, config.log_publication or slot
